package containerd

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

func input(t v1.TaskTemplate) specInput {
	return specInput{
		task:  host.Task{Name: "web-1-1", UID: 3, Service: "web", Attempt: 1, Template: t},
		image: ocispec.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"default"}, Env: []string{"A=1", "PATH=/x"}, WorkingDir: "/app"},
		attachment: host.Attachment{NetNS: "/run/warren/netns/web-1-1", Address: netip.MustParsePrefix("10.0.1.5/24"),
			ResolvConf: "/run/warren/resolv.conf"},
		node: "n1", instance: "0a1b2c3d", files: "/run/warren/tasks/web-1-1", maxFiles: 4096,
	}
}

// TestSpec looks at the written JSON, which is what runc reads.
func TestSpec(t *testing.T) {
	for _, c := range []struct {
		name string
		in   v1.TaskTemplate
		at   string // path in the JSON
		want string
	}{
		{"image's program", v1.TaskTemplate{}, "process.args", `["/entry","default"]`},
		{"args replace the image's", v1.TaskTemplate{Args: []string{"x"}}, "process.args", `["/entry","x"]`},
		{"command drops the image's args", v1.TaskTemplate{Command: []string{"/c"}}, "process.args", `["/c"]`},
		{"command and args", v1.TaskTemplate{Command: []string{"/c"}, Args: []string{"x"}}, "process.args", `["/c","x"]`},
		{"image's folder", v1.TaskTemplate{}, "process.cwd", `"/app"`},
		{"folder", v1.TaskTemplate{WorkingDir: "/b/"}, "process.cwd", `"/b"`},
		{"environment", v1.TaskTemplate{Env: v1.Env{{Name: "A", Value: "2"}, {Name: "B", Value: "x=y"}}}, "process.env",
			`["PATH=/x","A=2","HOSTNAME=web-1-1","WARREN_TASK=web-1-1","WARREN_SERVICE=web","WARREN_NODE=n1","B=x=y"]`},
		{"no new privileges", v1.TaskTemplate{}, "process.noNewPrivileges", `true`},
		{"files", v1.TaskTemplate{}, "process.rlimits", `[{"type":"RLIMIT_NOFILE","hard":4096,"soft":1024}]`},
		{"out of memory: first", v1.TaskTemplate{}, "process.oomScoreAdj", `500`},
		{"out of memory: later", v1.TaskTemplate{Resources: v1.Resources{Reservations: v1.ResourceList{Memory: 1}}}, "process.oomScoreAdj", `200`},
		{"default host name", v1.TaskTemplate{}, "hostname", `"web-1-1"`},
		{"host name", v1.TaskTemplate{Hostname: "h"}, "hostname", `"h"`},
		{"writable root", v1.TaskTemplate{}, "root", `{"path":"rootfs"}`},
		{"read-only root", v1.TaskTemplate{ReadOnlyRootFilesystem: true}, "root.readonly", `true`},
		{"cgroup", v1.TaskTemplate{}, "linux.cgroupsPath", `"/warren-0a1b2c3d/web-1-1"`},
		{"half a core", limits(v1.ResourceList{CPU: 500}), "linux.resources.cpu", `{"quota":50000,"period":100000}`},
		{"very little", limits(v1.ResourceList{CPU: 1}), "linux.resources.cpu", `{"quota":1000,"period":100000}`},
		{"memory without swap", limits(v1.ResourceList{Memory: 1 << 20}), "linux.resources.memory", `{"limit":1048576,"swap":1048576}`},
		{"pids", limits(v1.ResourceList{Pids: 7}), "linux.resources.pids", `{"limit":7}`},
		{"shares", reserves(v1.ResourceList{CPU: 2000}), "linux.resources.cpu", `{"shares":2048}`},
		{"soft memory", reserves(v1.ResourceList{Memory: 4096}), "linux.resources.memory", `{"reservation":4096}`},
		{"no limits", v1.TaskTemplate{}, "linux.resources", `{"devices":[{"allow":false,"access":"rwm"}]}`},
		{"seccomp", v1.TaskTemplate{}, "linux.seccomp.defaultAction", `"SCMP_ACT_ERRNO"`},
		{"namespaces", v1.TaskTemplate{}, "linux.namespaces",
			`[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"cgroup"},{"type":"network","path":"/run/warren/netns/web-1-1"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := buildSpec(input(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := jsonAt(t, s, c.at); !sameJSON(got, c.want) {
				t.Errorf("%s is %s, want %s", c.at, got, c.want)
			}
		})
	}
}

func limits(l v1.ResourceList) v1.TaskTemplate {
	return v1.TaskTemplate{Resources: v1.Resources{Limits: l}}
}

func reserves(l v1.ResourceList) v1.TaskTemplate {
	return v1.TaskTemplate{Resources: v1.Resources{Reservations: l}}
}

func jsonAt(t *testing.T, s *specs.Spec, path string) string {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for key := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatal(err)
		}
		data = object[key]
	}
	return string(data)
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestSpecMounts(t *testing.T) {
	in := input(v1.TaskTemplate{ReadOnlyRootFilesystem: true})
	in.task.Labels = map[string]string{"a": "b", "io.containerd.runc.v2.group": "x"}
	s, err := buildSpec(in)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]specs.Mount{}
	for _, m := range s.Mounts {
		found[m.Destination] = m
	}
	for at, from := range map[string]string{
		"/etc/resolv.conf": "/run/warren/resolv.conf", "/etc/hosts": "/run/warren/tasks/web-1-1/hosts",
		"/etc/hostname": "/run/warren/tasks/web-1-1/hostname",
	} {
		if m := found[at]; m.Source != from || !slices.Contains(m.Options, "ro") {
			t.Errorf("%s: %+v", at, m)
		}
	}
	if _, ok := found["/run"]; ok {
		t.Error("the image's /run is hidden")
	}
	if len(s.Annotations) != 1 || s.Annotations["a"] != "b" {
		t.Errorf("annotations: %v", s.Annotations)
	}
}

func TestSpecRefuses(t *testing.T) {
	in := input(v1.TaskTemplate{WorkingDir: "app"})
	if _, err := buildSpec(in); !errors.Is(err, errInvalid) {
		t.Error(err)
	}
	in = input(v1.TaskTemplate{})
	in.image = ocispec.ImageConfig{}
	if _, err := buildSpec(in); !errors.Is(err, errInvalid) {
		t.Error(err)
	}
}

func TestUsers(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0::/:/x\nweb:x:101:102::/home:/x\n")
	write("group", "root:x:0:\nweb:x:102:\nextra:x:103:web\n")
	for spec, want := range map[string]specs.User{
		"web": {UID: 101, GID: 102, AdditionalGids: []uint32{103}}, "web:extra": {UID: 101, GID: 103},
		"101": {UID: 101, GID: 102, AdditionalGids: []uint32{103}}, "5000": {UID: 5000}, "7:extra": {UID: 7, GID: 103},
	} {
		got, err := lookUpUser(root, spec)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v, want %+v", spec, got, err, want)
		}
	}
	for _, spec := range []string{"nobody", "web:none", "-1"} {
		if _, err := lookUpUser(root, spec); !errors.Is(err, errInvalid) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	for spec, want := range map[string]specs.User{"": {}, "root": {}, "0": {}, "5:6": {UID: 5, GID: 6}} {
		if got, ok := plainUser(spec); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v %v", spec, got, ok)
		}
	}
	if _, ok := plainUser("5"); ok {
		t.Error("the group of a uid needs the image")
	}
	// A link out of the image is not followed.
	if err := os.Remove(filepath.Join(root, "etc", "passwd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "etc", "passwd")); err != nil {
		t.Fatal(err)
	}
	if _, err := lookUpUser(root, "root"); err == nil {
		t.Error("the machine's passwd was read")
	}
}
