//go:build e2e

package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// piece finds the content of the one image that is here.
func (w *world) piece(what string) digest.Digest {
	w.t.Helper()
	all, err := w.host.client.ImageService().List(w.host.ctx)
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%+v %v", all, err)
	}
	var m ocispec.Manifest
	if err := readJSON(w.host.ctx, w.host.client.ContentStore(), all[0].Target, &m); err != nil {
		w.t.Fatal(err)
	}
	return map[string]digest.Digest{"manifest": all[0].Target.Digest, "config": m.Config.Digest, "layer": m.Layers[0].Digest}[what]
}

// spoil changes a piece of content behind containerd's back, and keeps the time of the file.
func (w *world) spoil(path string, change func([]byte) []byte) {
	w.t.Helper()
	info, err := os.Stat(path)
	data, err2 := os.ReadFile(path)
	err = errors.Join(err, err2, os.Remove(path), os.WriteFile(path, change(data), 0o444), os.Chtimes(path, info.ModTime(), info.ModTime()))
	if err != nil {
		w.t.Fatal(err)
	}
}

// crash closes the host and leaves what a crash would: of the process, or of the machine.
func (w *world) crash(machine bool) {
	w.t.Helper()
	m := runMark{Boot: bootID(), Since: time.Now().Add(time.Hour)} // nothing was written since
	if machine {
		m.Boot = "another"
	} else {
		m.Since = time.Now()
	}
	path := w.host.markPath()
	w.close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("a stop leaves the mark of a crash: %v", err)
	}
	data, _ := json.Marshal(m)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func flip(b []byte) []byte     { b[len(b)/2] ^= 1; return b }
func truncate(b []byte) []byte { return b[:len(b)/2] }
func nothing([]byte) []byte    { return nil }

func (w *world) scrubbed() bool { return w.host.verified.Load() }

// sound tells whether all content that is here is what it should be.
func (w *world) sound() bool {
	broken, _, err := w.host.findBroken(w.host.ctx, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(broken) == 0
}

// TestScrub: whatever a power cut did to a piece of an image, it is found, and fetched again where the registry has it.
func TestScrub(t *testing.T) {
	for _, what := range []string{"layer", "config", "manifest"} {
		for name, change := range map[string]func([]byte) []byte{"flipped": flip, "truncated": truncate, "empty": nothing} {
			if what != "layer" && name != "flipped" {
				continue
			}
			t.Run(what+" "+name, func(t *testing.T) {
				w, r := emptyWorld(t), newRegistry(t, "", "")
				w.open()
				r.push("app:1", variant(t, runtime.GOARCH, "x"))
				w.set(r.task("a", "app:1", "sleep"))
				pid := w.awaitPhase("a", host.Running).PID
				blob := w.host.blobPath(w.piece(what))
				w.crash(true)
				w.spoil(blob, change)
				w.open()
				w.until("it was looked through", w.scrubbed)
				w.until("it is told that it is mended", func() bool { return len(w.remarks.of(host.ReasonImageRepaired)) > 0 })
				list, err := w.host.List(bg())
				if err != nil || len(list) != 1 || list[0].Status != "" || !w.sound() || len(w.host.Warnings()) > 0 {
					t.Errorf("%+v %v, warnings %q", list, err, w.host.Warnings())
				}
				w.set(r.task("a", "app:1", "sleep"))
				if s := w.awaitPhase("a", host.Running); s.PID != pid {
					t.Errorf("the task was disturbed: %+v", s)
				}
			})
		}
	}
}

// TestScrubTells: what cannot be fetched is told, and complete again when somebody brings it. What is unpacked runs on.
func TestScrubTells(t *testing.T) {
	w := newWorld(t)
	blob := w.host.blobPath(w.piece("layer"))
	w.crash(true)
	w.spoil(blob, flip)
	w.open()
	w.until("it is told", func() bool { return len(w.remarks.of(host.ReasonImageDamaged)) == 1 })
	if text := w.remarks.of(host.ReasonImageDamaged)[0]; !strings.Contains(text, "image docker.io/library/prog:1 is damaged (Incomplete (1 of 2)) and cannot be fetched") {
		t.Error(text)
	}
	list, _ := w.host.List(bg())
	if len(list) != 1 || list[0].Status != "Incomplete (1 of 2)" || len(w.host.Warnings()) != 1 {
		t.Errorf("%+v %q", list, w.host.Warnings())
	}
	w.set(task("a", "sleep"))
	w.awaitPhase("a", host.Running)
	w.importImage()
	w.until("it is complete", func() bool { return len(w.host.Warnings()) == 0 })
	if list, _ := w.host.List(bg()); list[0].Status != "" || !w.sound() {
		t.Errorf("%+v", list)
	}
}

// TestScrubIsCheap: after a kill only what was written since the last good moment is read, and files of the wrong length are
// found all the same. What was found good once is not read again after the next one.
func TestScrubIsCheap(t *testing.T) {
	w := newWorld(t)
	layer := w.piece("layer")
	blob := w.host.blobPath(layer)
	w.crash(false)
	w.spoil(blob, flip)
	w.open()
	w.until("it was looked through", w.scrubbed)
	if w.sound() || len(w.remarks.of(host.ReasonImageDamaged)) > 0 {
		t.Error("content that nobody can have touched was read")
	}
	w.crash(false)
	w.spoil(blob, truncate)
	w.open()
	w.until("it is told", func() bool { return len(w.remarks.of(host.ReasonImageDamaged)) == 1 })
	w.importImage()
	w.until("it was looked through", w.scrubbed)
	now := time.Now()
	w.crash(false)
	if err := os.Chtimes(blob, now.Add(time.Minute), now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.spoil(blob, flip) // as if it had been written after the mark
	w.open()
	w.until("it is told again", func() bool { return len(w.remarks.of(host.ReasonImageDamaged)) == 2 })
}

// TestScrubLayers: unpacked files that a power cut took are unpacked again, and told of while a task stands on them.
func TestScrubLayers(t *testing.T) {
	w := newWorld(t)
	var layer string
	err := w.host.client.SnapshotService(snapshotter).Walk(w.host.ctx, func(_ context.Context, s snapshots.Info) error {
		if s.Kind == snapshots.KindCommitted {
			layer = s.Name
		}
		return nil
	})
	if err != nil || layer == "" {
		t.Fatal(err)
	}
	dir, err := w.host.layerDir(w.host.ctx, layer)
	if err != nil {
		t.Fatal(err)
	}
	prog := filepath.Join(dir, "prog")
	good, err := os.ReadFile(prog)
	if err != nil {
		t.Fatal(err)
	}
	w.set(task("a", "sleep"))
	w.awaitPhase("a", host.Running)
	w.crash(true)
	if err := os.Truncate(prog+"", 0); err != nil && !strings.Contains(err.Error(), "busy") {
		t.Fatal(err)
	} else if err != nil { // it runs: take another file's blocks
		if err := os.Remove(filepath.Join(dir, "etc/passwd")); err != nil {
			t.Fatal(err)
		}
	}
	w.open()
	w.until("it is told", func() bool { return len(w.remarks.of(host.ReasonImageDamaged)) == 1 })
	w.set()
	w.awaitNone()
	w.crash(true)
	w.open()
	w.until("it was looked through", w.scrubbed)
	w.set(task("b", "sleep"))
	w.awaitPhase("b", host.Running)
	dir, err = w.host.layerDir(w.host.ctx, layer)
	if err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "prog")); err != nil || !bytes.Equal(now, good) {
		t.Errorf("the file is not whole again: %d of %d bytes, %v", len(now), len(good), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "etc/passwd")); err != nil {
		t.Error(err)
	}
}
