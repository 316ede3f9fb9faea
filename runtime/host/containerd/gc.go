package containerd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

// ImageGC says when images that nobody needs are removed. The zero value: never.
type ImageGC struct {
	// High and Low are percent of the file system of DATA_DIR, as df counts: when more than High is in use, the images that
	// were not used for longest go, until no more than Low is. High 0 or 100: never.
	High, Low int
	// MinAge is how long an image is left alone after it came or was used last.
	MinAge time.Duration
}

// gcLook is how often the collector looks how full the disk is: somebody else may fill it. It only asks the kernel.
const gcLook = 2 * time.Minute

// collector removes images when the disk gets full. It works only after it was told which images are needed.
type collector struct {
	h    *Host
	cfg  ImageGC
	wake chan struct{}

	mu      sync.Mutex
	told    bool
	needed  map[string]bool // digests and full names that somebody said are needed
	blocked string          // why it could not free enough, for people
}

func newCollector(h *Host, cfg ImageGC) *collector {
	return &collector{h: h, cfg: cfg, wake: make(chan struct{}, 1)}
}

// Protect implements host.Keeper.
func (h *Host) Protect(ctx context.Context, images []string) error {
	needed := map[string]bool{}
	for _, ref := range images {
		if name, err := imageName(ref, ""); err == nil {
			needed[name] = true
		}
		if d := pinnedDigest(ref, ""); d != "" {
			needed[d] = true
		}
		needed[ref] = true
	}
	return h.gc.protect(h.scoped(ctx), needed)
}

// protect takes over a new set. What is no longer in it was needed until now.
func (c *collector) protect(ctx context.Context, needed map[string]bool) error {
	c.mu.Lock()
	before := c.needed
	same := c.told && maps.Equal(before, needed)
	c.needed, c.told = needed, true
	c.mu.Unlock()
	if same {
		return nil
	}
	for what := range before {
		if !needed[what] {
			c.h.images.touch(ctx, what)
		}
	}
	c.nudge()
	return nil
}

// protects tells whether an image is in the set.
func (c *collector) protects(img images.Image) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.needed[img.Name] || c.needed[img.Target.Digest.String()]
}

// mustStay tells whether an image is needed even if its name goes to another. Until it was said what is needed, all are.
func (c *collector) mustStay(digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.told || c.needed[digest]
}

// nudge makes the collector look soon: space was taken, or something is no longer needed.
func (c *collector) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run looks whenever there is reason to, until the host is closed.
func (c *collector) run() {
	if c.cfg.High <= 0 || c.cfg.High >= 100 {
		return
	}
	tick := time.NewTicker(gcLook)
	defer tick.Stop()
	for {
		select {
		case <-c.h.ctx.Done():
			return
		case <-c.wake:
		case <-tick.C:
		}
		if err := c.look(c.h.ctx); err != nil && !errors.Is(err, errBusy) && c.h.ctx.Err() == nil {
			c.h.log.Error(err, "images could not be collected, will try again")
		}
	}
}

// look removes images while the disk is too full.
func (c *collector) look(ctx context.Context) error {
	begun, err := readUse(c.h.cfg.DataDir)
	if err != nil || !begun.above(c.cfg.High) {
		c.block("")
		return err
	}
	if err := c.dropParts(ctx); err != nil {
		return err
	}
	var gone []string
	for now := begun; now.above(c.cfg.Low); {
		names, why, err := c.removeOne(ctx)
		if err != nil || len(names) == 0 {
			if c.report(gone, begun, now); err == nil && now.above(c.cfg.High) {
				c.block(why)
			}
			return err
		}
		gone = append(gone, names...)
		if now, err = readUse(c.h.cfg.DataDir); err != nil {
			return err
		}
		if !now.above(c.cfg.Low) {
			c.report(gone, begun, now)
		}
	}
	c.block("")
	return nil
}

// errBusy means that it cannot be said now which images are needed. Somebody nudges when it can.
var errBusy = errors.New("images are being used")

// removeOne removes the image that was not used for longest, with all its names. No names: there is none, and why.
func (c *collector) removeOne(ctx context.Context) (names []string, why string, err error) {
	if !c.h.images.uses.removing.TryLock() {
		time.AfterFunc(time.Second, c.nudge)
		return nil, "", errBusy
	}
	defer c.h.images.uses.removing.Unlock()
	stock, err := c.stock(ctx)
	if err != nil {
		return nil, "", err
	}
	victim, left := oldest(stock, time.Now(), c.cfg.MinAge)
	if victim == nil {
		return nil, left, nil
	}
	for _, name := range victim.names {
		err := c.h.client.ImageService().Delete(ctx, name, images.SynchronousDelete())
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, "", fmt.Errorf("remove image %s: %w", name, err)
		}
	}
	c.h.images.uses.forget(victim.digest)
	return victim.names, "", nil
}

// report tells what was removed.
func (c *collector) report(gone []string, before, after use) {
	if len(gone) == 0 {
		return
	}
	c.h.log.Info("images were removed for lack of space", "images", gone, "before", before.String(), "after", after.String())
	c.h.remark(host.Remark{Reason: host.ReasonImagesRemoved, Message: fmt.Sprintf("removed %s: %s was %s full, more than %d%%; now it is %s",
		few(gone), c.h.cfg.DataDir, before, c.cfg.High, after)})
}

// block remembers why no more can be removed, and tells so when that begins.
func (c *collector) block(why string) {
	c.mu.Lock()
	begins := c.blocked == "" && why != ""
	c.blocked = why
	c.mu.Unlock()
	if !begins {
		return
	}
	c.h.log.Info("the disk is too full and no image can be removed", "dir", c.h.cfg.DataDir, "cause", why)
	c.h.remark(host.Remark{Warning: true, Reason: host.ReasonDiskFull, Message: c.text(why)})
}

func (c *collector) text(why string) string {
	return fmt.Sprintf("%s is more than %d%% full and no image can be removed: %s", c.h.cfg.DataDir, c.cfg.High, why)
}

func (c *collector) warning() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocked == "" {
		return ""
	}
	return c.text(c.blocked)
}

// use is how much of a file system is in use.
type use struct{ used, total uint64 }

func readUse(dir string) (use, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return use{}, fmt.Errorf("ask how full %s is: %w", dir, err)
	}
	block, used := uint64(st.Bsize), st.Blocks-st.Bfree
	return use{used * block, (used + st.Bavail) * block}, nil
}

func (u use) above(percent int) bool { return u.used*100 > u.total*uint64(percent) }

func (u use) String() string {
	if u.total == 0 {
		return "0%"
	}
	return fmt.Sprintf("%d%% (%s)", u.used*100/u.total, v1.Size(meta.Bytes(u.used)))
}
