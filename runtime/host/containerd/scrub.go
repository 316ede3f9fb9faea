package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// scrubRate is how many bytes a second are read while content is looked through: a slow card has more to give than that, and
// a node has its tasks to run.
const scrubRate = 32 << 20

// scrub looks through what a crash may have spoilt. A process that is killed leaves what it wrote to the kernel, so after that
// only what was written since all was known to be good is read, and of the rest it is seen that it is as long as it should be.
// A machine that goes down may leave anything: all of it is read.
func (h *Host) scrub(old runMark) {
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and its priority with it
	yieldToOthers()
	begun := time.Now()
	since := old.Since
	if old.Boot != bootID() || since.After(begun) {
		since = time.Time{}
	}
	broken, looked, err := h.findBroken(h.ctx, since)
	for _, b := range broken {
		err = errors.Join(err, h.dropBroken(h.ctx, b))
	}
	if err == nil && since.IsZero() {
		err = h.checkLayers(h.ctx)
	}
	if err != nil || h.ctx.Err() != nil {
		if h.ctx.Err() == nil {
			h.log.Error(err, "images could not be looked through after a crash; the next start will try again")
		}
		return
	}
	h.log.Info("images were looked through after a crash", "all", since.IsZero(), "read", looked, "broken", len(broken),
		"took", time.Since(begun).Round(time.Millisecond).String())
	h.writeMark(begun)
	h.verified.Store(true)
}

// yieldToOthers gives this thread what nobody else wants of processor and disk.
func yieldToOthers() {
	const idleClass, whoProcess = 3, 1
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(unix.Gettid()), idleClass<<13)
}

// findBroken returns the content that is not what its digest says, and how many bytes were read for it.
func (h *Host) findBroken(ctx context.Context, since time.Time) (broken []digest.Digest, looked int64, err error) {
	var all []content.Info
	err = h.client.ContentStore().Walk(ctx, func(i content.Info) error {
		all = append(all, i)
		return nil
	})
	if err != nil && !errdefs.IsNotFound(err) { // in a new store there is not even a list
		return nil, 0, fmt.Errorf("list content: %w", err)
	}
	pace := &pacer{rate: scrubRate, begun: time.Now()}
	for _, i := range all {
		good, err := h.isGood(ctx, i, since, pace)
		if ctx.Err() != nil {
			return broken, pace.done, ctx.Err()
		}
		if err != nil {
			return broken, pace.done, fmt.Errorf("look through content %s: %w", i.Digest, err)
		}
		if !good {
			broken = append(broken, i.Digest)
		}
	}
	return broken, pace.done, nil
}

// isGood looks at one piece of content. What is gone meanwhile is good.
func (h *Host) isGood(ctx context.Context, i content.Info, since time.Time, pace *pacer) (bool, error) {
	if _, err := h.client.ContentStore().Info(ctx, i.Digest); errdefs.IsNotFound(err) {
		return true, nil
	}
	ra, err := h.client.ContentStore().ReaderAt(ctx, ocispec.Descriptor{Digest: i.Digest, Size: i.Size})
	if errdefs.IsNotFound(err) {
		return false, nil // there is a record without a file
	}
	if err != nil {
		return false, err
	}
	defer ra.Close()
	if ra.Size() != i.Size {
		return false, nil
	}
	if !since.IsZero() && h.writtenAt(i).Before(since) || i.Digest.Algorithm() != digest.SHA256 {
		return true, nil
	}
	sum := sha256.New()
	if err := pace.read(ctx, sum, io.NewSectionReader(ra, 0, ra.Size())); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == i.Digest.Encoded(), nil
}

// writtenAt is when a file was last written.
func (h *Host) writtenAt(i content.Info) time.Time {
	if info, err := os.Stat(h.blobPath(i.Digest)); err == nil {
		return latest(info.ModTime(), i.CreatedAt)
	}
	return i.CreatedAt
}

func (h *Host) blobPath(d digest.Digest) string {
	return filepath.Join(h.paths.containerdRoot, "io.containerd.content.v1.content", "blobs", d.Algorithm().String(), d.Encoded())
}

// dropBroken removes a piece of content. The file goes first: containerd would take it for good when it is fetched again.
func (h *Host) dropBroken(ctx context.Context, d digest.Digest) error {
	h.log.Info("content is damaged and is removed", "digest", d.String())
	if err := os.Remove(h.blobPath(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove damaged content %s: %w", d, err)
	}
	return wrap("remove damaged content "+d.String(), unlessGone(h.client.ContentStore().Delete(ctx, d)))
}

// pacer reads no faster than a rate.
type pacer struct {
	rate, done int64
	begun      time.Time
}

func (p *pacer) read(ctx context.Context, into hash.Hash, r io.Reader) error {
	buf := make([]byte, 1<<20)
	for {
		n, err := r.Read(buf)
		_, _ = into.Write(buf[:n])
		p.done += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		ahead := time.Duration(p.done*int64(time.Second)/p.rate) - time.Since(p.begun)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(0, ahead)):
		}
	}
}
