package quorum

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// sized is a service as people write them: about 700 bytes of JSON.
func sized(name string) *v1.Service {
	s := service(name)
	s.Metadata.Labels = map[string]string{"app": "shop", "tier": "front", "team": "checkout"}
	s.Spec.Args = []string{"--listen", ":8080", "--log-level", "info", "--cache", "/var/cache/front"}
	for i := range 6 {
		s.Spec.Env = append(s.Spec.Env, v1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: "a value of ordinary length"})
	}
	return s
}

func benchmarked(b *testing.B) store.Store {
	return start(b, Config{DataDir: b.TempDir(), Log: logr.Discard()}).Store()
}

// BenchmarkCommit is one writer that waits for each commit.
func BenchmarkCommit(b *testing.B) {
	s := benchmarked(b)
	data, _ := meta.Encode(sized("x"))
	n := 0
	for b.Loop() {
		commit(b, s, store.CreateOp(sized(fmt.Sprintf("s%d", n))))
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(len(data)), "bytes/object")
}

// BenchmarkCommit64 is 64 writers at once.
func BenchmarkCommit64(b *testing.B) {
	s := benchmarked(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Commit(b.Context(), store.CreateOp(sized(fmt.Sprintf("s%d", n.Add(1))))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkCommitHundred is a commit of as many objects as one may have.
func BenchmarkCommitHundred(b *testing.B) {
	s := benchmarked(b)
	ops := make([]store.Op, store.MaxOps)
	for i := range ops {
		o := sized(fmt.Sprintf("s%d", i))
		ops[i] = store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}
	}
	for b.Loop() {
		commit(b, s, ops...)
	}
}

// BenchmarkGet is a linearizable read of one object.
func BenchmarkGet(b *testing.B) {
	s := benchmarked(b)
	commit(b, s, store.CreateOp(sized("web")))
	key := sized("web").Key()
	for b.Loop() {
		if _, err := s.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList10000 reads a whole large cluster.
func BenchmarkList10000(b *testing.B) {
	s := benchmarked(b)
	for i := range 100 {
		ops := make([]store.Op, 100)
		for j := range ops {
			ops[j] = store.CreateOp(sized(fmt.Sprintf("s-%d-%d", i, j)))
		}
		commit(b, s, ops...)
	}
	for b.Loop() {
		if all, _, err := s.List(b.Context()); err != nil || len(all) != 10000 {
			b.Fatalf("%d objects, %v", len(all), err)
		}
	}
}

// BenchmarkStart is the time from nothing, and from a stopped member, to one that takes commits.
func BenchmarkStart(b *testing.B) {
	for _, name := range []string{"new", "again"} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for n := 0; b.Loop(); n++ {
				if name == "new" {
					dir = fmt.Sprintf("%s/%d", b.TempDir(), n)
				}
				q, err := open(b, Config{DataDir: dir, Log: logr.Discard()})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				q.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkCommitOfThree is one writer at the leader, or at another member, of three in this process, and how long it takes
// until the commit is seen by a watch at a third one.
func BenchmarkCommitOfThree(b *testing.B) {
	for _, where := range []string{"leader", "other"} {
		b.Run(where, func(b *testing.B) {
			c := newCluster(b, 3)
			lead := c.leader()
			writer, reader := lead, c.nodes[(indexOf(c, lead)+1)%3]
			if where == "other" {
				writer, reader = reader, c.nodes[(indexOf(c, lead)+2)%3]
			}
			seen := reader.Store().Watch(b.Context(), reader.Health().Revision)
			var took, lag []time.Duration
			n := 0
			for b.Loop() {
				began := time.Now()
				rev := commit(b, writer.Store(), store.CreateOp(sized(fmt.Sprintf("s%d", n))))
				took = append(took, time.Since(began))
				for (<-seen).Revision < rev {
				}
				lag = append(lag, time.Since(began))
				n++
			}
			slices.Sort(took)
			slices.Sort(lag)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "commit-p50-ms")
			b.ReportMetric(lag[len(lag)/2].Seconds()*1000, "seen-p50-ms")
			b.ReportMetric(lag[len(lag)*99/100].Seconds()*1000, "seen-p99-ms")
		})
	}
}
