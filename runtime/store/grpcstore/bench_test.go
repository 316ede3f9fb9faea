package grpcstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

func aTask(i int) *v1.Task {
	t := meta.New[v1.Task](fmt.Sprintf("web-%d-%d", i, i))
	t.Spec.Service, t.Spec.Slot, t.Spec.Image, t.Spec.Node = "web", i, "registry.example.org/web:1.2", "n1"
	t.Spec.Default()
	t.Status = v1.TaskStatus{Phase: v1.TaskRunning, Ready: true, Address: "10.0.1.7", PID: i, StartedAt: time.Now()}
	return t
}

// quantiles reports the half and the 95th of a hundred of what f takes.
func quantiles(b *testing.B, f func()) {
	f() // connects
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		begin := time.Now()
		f()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "p95-µs")
}

func BenchmarkGet(b *testing.B) {
	s := onUnix(b, server.Config{Store: memstore.New(aTask(1))})
	key := aTask(1).Key()
	quantiles(b, func() {
		if _, err := s.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	s := onUnix(b, server.Config{})
	t := aTask(1)
	quantiles(b, func() {
		if _, err := s.Commit(b.Context(), store.Op{Verb: store.Put, Key: t.Key(), Object: t, Guard: store.Any}); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkList10000(b *testing.B) {
	inner := memstore.New()
	for i := range 10000 {
		t := aTask(i)
		if _, err := inner.Commit(b.Context(), store.CreateOp(t)); err != nil {
			b.Fatal(err)
		}
	}
	s := onUnix(b, server.Config{Store: inner})
	quantiles(b, func() {
		if all, _, err := s.List(b.Context()); err != nil || len(all) != 10000 {
			b.Fatal(len(all), err)
		}
	})
}

// manyLines is a log of a million lines of 100 bytes.
type manyLines struct{}

func (manyLines) Read(_ context.Context, _ string, _ host.LogOptions, emit func(host.LogLine) error) error {
	line := host.LogLine{Time: time.Unix(1, 0), Stream: "stdout", Text: strings.Repeat("x", 100)}
	for range 1_000_000 {
		if err := emit(line); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkLogs(b *testing.B) {
	s := onUnix(b, server.Config{Logs: manyLines{}})
	for b.Loop() {
		n := 0
		err := s.Logs(b.Context(), "x", host.LogOptions{Tail: -1}, func(host.LogLine) error { n++; return nil })
		if err != nil || n != 1_000_000 {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N)*1e6/b.Elapsed().Seconds(), "lines/s")
}

// sink takes archives and forgets them.
type sink struct{ host.Images }

func (sink) Import(_ context.Context, r io.Reader, _ host.ImportOptions) ([]host.Image, error) {
	_, err := io.Copy(io.Discard, r)
	return nil, err
}

func BenchmarkImportImage(b *testing.B) {
	s := onUnix(b, server.Config{Images: sink{}})
	archive := make([]byte, 64<<20)
	b.SetBytes(int64(len(archive)))
	for b.Loop() {
		if _, err := s.ImportImage(b.Context(), bytes.NewReader(archive), host.ImportOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
