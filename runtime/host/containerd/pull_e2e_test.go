//go:build e2e

package containerd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/registry"
	"warren.io/warren/runtime/host/containerd/registry/registrytest"
)

func source(t *testing.T, c registry.Config) *registry.Source {
	t.Helper()
	s, err := registry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// counted puts a registry that counts, with one image of one layer of so many bytes that cannot be compressed.
func counted(t *testing.T, size int) (r *registryAt, count *registrytest.Registry, layer string, length int64) {
	t.Helper()
	r = newRegistry(t, "", "")
	count = registrytest.New(r.handler)
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(tarOf(file{"noise", data, 0o644}))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(variant(t, runtime.GOARCH, "big"), l)
	if err != nil {
		t.Fatal(err)
	}
	r.push("big:1", img)
	r.stop()
	r.handler = count
	r.restart()
	d, err := l.Digest()
	if err == nil {
		length, err = l.Size()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, count, d.String(), length
}

// parts are the files of big unfinished content.
func (w *world) parts() []string {
	found, _ := filepath.Glob(filepath.Join(w.data, "containerd/io.containerd.content.v1.content/ingest/*/data"))
	return slices.DeleteFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Size() < 3<<20
	})
}

// A layer that a power cut has spoilt half-way is fetched anew, not given up for ever.
func TestSpoiltPartIsFetchedAnew(t *testing.T) {
	w := newWorld(t)
	r, count, layer, _ := counted(t, 7<<20)
	count.Set(registrytest.Rules{Hold: map[string]int64{layer: 7 << 19}})
	w.set(r.task("a", "big:1", "sleep"))
	w.until("a part is here", func() bool { return len(w.parts()) == 1 })
	w.close()
	path := w.parts()[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[:512])
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	count.Set(registrytest.Rules{})
	w.open()
	w.set(r.task("a", "big:1", "sleep"))
	w.awaitPhase("a", host.Running)
	gets := count.Gets(layer)
	if len(gets) != 3 || gets[1].Range == "" || gets[2].Range != "" {
		t.Errorf("requests: %+v", gets)
	}
	if left := w.parts(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// What came of an image that nobody wants any more goes, after a while; also when warren was killed meanwhile.
func TestPartsOfWhatNobodyWantsGo(t *testing.T) {
	w := newWorld(t)
	r, count, layer, _ := counted(t, 7<<20)
	count.Set(registrytest.Rules{Hold: map[string]int64{layer: 7 << 19}})
	w.set(r.task("a", "big:1", "sleep"))
	w.until("a part is here", func() bool { return len(w.parts()) == 1 })
	w.set()
	w.awaitNone()
	if len(w.parts()) != 1 {
		t.Error("the part was gone at once")
	}
	w.close()
	was := keepParts
	t.Cleanup(func() { keepParts = was })
	keepParts = 50 * time.Millisecond
	w.open()
	w.set()
	w.until("the part is gone", func() bool { return len(w.parts()) == 0 })
	all, err := w.host.client.LeasesService().List(w.host.ctx)
	if err != nil || len(all) != 0 {
		t.Errorf("leases %v %v", all, err)
	}
	// The same while it runs.
	w.set(r.task("b", "big:1", "sleep"))
	w.until("a part is here", func() bool { return len(w.parts()) == 1 })
	w.set()
	w.until("the part is gone", func() bool { return len(w.parts()) == 0 })
}

// Who watches pulls is told at once, then of what changes, and nothing while nothing does.
func TestPullsAreWatched(t *testing.T) {
	w := newWorld(t)
	r, count, layer, size := counted(t, 7<<20)
	count.Set(registrytest.Rules{Hold: map[string]int64{layer: 7 << 19}})
	ctx, cancel := context.WithCancel(bg())
	said, ended := make(chan []host.Pull, 1000), make(chan error)
	go func() {
		ended <- w.host.WatchPulls(ctx, func(all []host.Pull) error { said <- all; return nil })
	}()
	if first := <-said; len(first) != 0 {
		t.Errorf("%+v", first)
	}
	w.set(r.task("a", "big:1", "sleep"))
	var last host.Pull
	for last.Done < 7<<19 {
		if all := <-said; len(all) == 1 {
			last = all[0]
		}
	}
	if last.Phase != host.PullFetching || last.Total < size || !slices.Equal(last.Refs, []string{r.address + "/big:1"}) {
		t.Errorf("%+v", last)
	}
	for last.Rate > 0 { // until the rate has come down to nothing
		last = (<-said)[0]
	}
	select {
	case more := <-said:
		t.Errorf("nothing changes, but %+v is told after %+v", more, last)
	case <-time.After(4 * sampleEvery):
	}
	w.set()
	for all := range said {
		if len(all) == 0 {
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
