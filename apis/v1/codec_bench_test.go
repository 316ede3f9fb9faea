package v1

import (
	"fmt"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
)

// usual is a task with what tasks usually have.
func usual() *Task {
	t := meta.New[Task]("web-3-7")
	t.Metadata.Labels = map[string]string{"app": "web", "tier": "front"}
	t.Metadata.UID, t.Metadata.Revision, t.Metadata.Generation, t.Metadata.Created = 100, 200, 1, time.Now()
	t.Metadata.Owner = meta.Owner{Kind: "Service", Name: "web", UID: 7}
	t.Spec = TaskSpec{Service: "web", Slot: 3, TemplateHash: "0123456789", Node: "n1", ImageDigest: "sha256:0123456789012345678901234567890123456789012345678901234567890123"}
	t.Spec.Image, t.Spec.Labels, t.Spec.Platforms = "registry.example.org/web:1.2", t.Metadata.Labels, []string{"linux/amd64", "linux/arm64"}
	t.Spec.Resources.Limits = ResourceList{CPU: 500, Memory: 64 << 20}
	t.Spec.Resources.Reservations = ResourceList{CPU: 100, Memory: 64 << 20}
	for i := range 5 {
		t.Spec.Env = append(t.Spec.Env, EnvVar{Name: fmt.Sprintf("NAME_%d", i), Value: "some value"})
	}
	t.Spec.Default()
	t.Status = TaskStatus{Phase: TaskRunning, Ready: true, Address: "10.0.1.7", PID: 4711, StartedAt: time.Now(), ImageDigest: t.Spec.ImageDigest}
	return t
}

func BenchmarkEncodeTask(b *testing.B) {
	t := usual()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := meta.Encode(t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeTask(b *testing.B) {
	data, err := meta.Encode(usual())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Kinds.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeStrict(b *testing.B) {
	o := meta.New[Service]("web")
	o.Metadata.Labels, o.Spec.TaskTemplate = usual().Metadata.Labels, usual().Spec.TaskTemplate
	o.SetDefaults()
	data, err := meta.Encode(o)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, p := Kinds.DecodeStrict(data); p.Err() != nil {
			b.Fatal(p.Err())
		}
	}
}

func BenchmarkCloneTask(b *testing.B) {
	t := usual()
	b.ReportAllocs()
	for b.Loop() {
		t.Clone()
	}
}

func BenchmarkDiffTask(b *testing.B) {
	t, other := usual(), usual().Clone()
	other.(*Task).Status = t.Status
	b.ReportAllocs()
	for b.Loop() {
		meta.Diff(t, other)
	}
}
