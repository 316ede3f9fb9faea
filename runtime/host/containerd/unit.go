package containerd

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"warren.io/warren/runtime/host"
)

// unit brings one task from what is there to what is wished, step by step, in a goroutine of its own.
type unit struct {
	h    *Host
	name string
	wake chan struct{}

	// Guarded by the host's lock.
	want      *host.Task // nil: it shall not be there
	state     host.State
	interrupt context.CancelFunc // ends the pull or the pause that is going on

	// Only for the unit's own goroutine.
	rec   *record // the attempt that is or was there; nil: nothing is
	half  bool    // the attempt did not get as far as a running process, and nobody was told that it failed
	stale bool    // a container, task or snapshot of an earlier attempt may have to be removed
	// unsure: a killed run of ours was making the container, so there may be a shim that containerd does not know; or the
	// shim was killed while the task was being stopped, so that there may be a process without one.
	unsure bool
	exit   <-chan exit // answers when the running process ends; nil if none runs
	pid    int         // of the running process
	tries  int         // failed steps in a row
}

// exit is how a process ended; err if it is not known because its shim is gone.
type exit struct {
	code int
	at   time.Time
	err  error
}

// step takes the next step, or waits for a reason to take one. It returns false when nothing is left to do, ever.
func (u *unit) step() bool {
	if u.h.ctx.Err() != nil {
		return false
	}
	want, known := u.wish()
	switch {
	case !known:
		return u.idle()
	case want == nil && u.rec == nil:
		return !u.vanish()
	case u.rec == nil:
		u.attempt(*want)
	case want == nil || want.UID != u.rec.uid:
		u.remove()
	case want.Attempt > u.rec.attempt || u.half:
		u.again(*want)
	case u.stale && u.exit == nil:
		u.tidy()
	default:
		return u.idle()
	}
	return true
}

func (u *unit) wish() (want *host.Task, known bool) {
	u.h.mu.Lock()
	defer u.h.mu.Unlock()
	return u.want, u.h.known
}

// idle waits for a new wish or for the process to end.
func (u *unit) idle() bool {
	select {
	case <-u.h.ctx.Done():
		return false
	case <-u.wake:
	case e := <-u.exit:
		u.ended(e)
	}
	return true
}

// vanish forgets the unit if it is still unwanted.
func (u *unit) vanish() bool {
	u.h.mu.Lock()
	gone := u.want == nil
	if gone {
		delete(u.h.units, u.name)
	}
	u.h.mu.Unlock()
	if gone {
		u.h.cfg.Poke()
	}
	return gone
}

// tell publishes a new state.
func (u *unit) tell(s host.State) {
	u.h.mu.Lock()
	u.state = s
	u.h.mu.Unlock()
	u.h.cfg.Poke()
}

// again starts the next attempt after what is left of the previous one was removed. The network place is kept.
func (u *unit) again(want host.Task) {
	if u.exit != nil && !u.terminate() {
		return
	}
	if !u.tidy() {
		return
	}
	u.attempt(want)
}

// tidy removes task and snapshot of an attempt that is over, so that it costs neither memory nor disk.
func (u *unit) tidy() bool {
	if !u.stale {
		return true
	}
	if err := u.clear(); err != nil {
		u.h.log.Error(err, "what an ended attempt left could not be removed, will try again", "task", u.name)
		u.pause()
		return false
	}
	u.stale, u.unsure, u.tries = false, false, 0
	return true
}

// attempt starts want. On return it runs, or the failure was told, or a new wish came in between.
func (u *unit) attempt(want host.Task) {
	var before *record
	before, u.rec = u.rec, newRecord(u.h.cfg.Cluster, want)
	if before != nil {
		u.rec.address = before.address
	}
	if u.h.foreign[u.name] {
		u.rec.result, u.rec.reason = host.Failed, host.ReasonStartFailed
		u.rec.message = "a container of another cluster has this name"
		u.tell(u.rec.state(u.name, host.Failed))
		return
	}
	u.half = true
	if err := u.h.prepareFiles(want); err != nil {
		u.fail(want, err)
		return
	}
	img, ok := u.image(want)
	if !ok {
		return
	}
	u.rec.digest, u.rec.platforms = img.digest, img.platforms
	select {
	case u.h.creating <- struct{}{}:
		defer func() { <-u.h.creating }()
	case <-u.h.ctx.Done():
		return
	}
	if now, _ := u.wish(); now == nil || now.UID != want.UID {
		return
	}
	u.tell(u.rec.state(u.name, host.Creating))
	since := time.Now()
	if err := u.create(want, img); err != nil {
		u.fail(want, err)
		return
	}
	u.started("started", time.Since(since))
}

// fail tells why an attempt could not be started and cleans up after it.
func (u *unit) fail(want host.Task, err error) {
	u.rec.result, u.rec.reason, u.rec.message = host.Failed, host.ReasonStartFailed, err.Error()
	if errors.Is(err, errInvalid) {
		u.rec.result, u.rec.reason = host.Rejected, host.ReasonInvalidSpec
	}
	u.started(strings.ToLower(string(u.rec.result)), 0)
	u.half = false
	u.tidy()
	if u.rec.result == host.Failed {
		u.remember(want.Labels)
	}
	u.tell(u.rec.state(u.name, u.rec.result))
}

// reject tells that this task can never run here.
func (u *unit) reject(reason, message string) {
	u.rec.result, u.rec.reason, u.rec.message = host.Rejected, reason, message
	u.started("rejected", 0)
	u.half = false
	u.tell(u.rec.state(u.name, host.Rejected))
}

// pause waits before a failed step is tried again, longer each time, unless something new is wished.
func (u *unit) pause() {
	u.tries++
	select {
	case <-u.h.ctx.Done():
	case <-u.wake:
	case <-time.After(backoff(u.tries, 200*time.Millisecond, 30*time.Second)):
	}
}

// backoff doubles from first up to most, and spreads by a fifth so that many do not come at once.
func backoff(tries int, first, most time.Duration) time.Duration {
	d := min(first<<min(tries-1, 20), most)
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}

// image finds the task's image here or pulls it, for as long as that takes. False: a new wish came, or it was rejected.
func (u *unit) image(want host.Task) (*image, bool) {
	ctx, cancel := context.WithCancel(u.h.ctx)
	defer cancel()
	if !u.interruptible(want, cancel) {
		return nil, false
	}
	defer u.uninterruptible()
	for tries := 1; ; tries++ {
		came := u.h.images.arrival()
		img, err := u.h.images.find(ctx, want.Template.Image, want.ImageDigest)
		if errors.Is(err, host.ErrNotFound) {
			u.pulling("pulling "+want.Template.Image, time.Time{}, "")
			img, err = u.h.images.pullUnless(ctx, want.Template, want.ImageDigest, came)
		}
		if err == nil {
			return img, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		if u.refused(err) {
			return nil, false
		}
		if errors.As(err, new(partly)) {
			tries = 1
		}
		wait := backoff(tries, time.Second, 2*time.Minute)
		u.pulling(err.Error(), time.Now().Add(wait), host.ReasonImagePull)
		select {
		case <-ctx.Done():
			return nil, false
		case <-came:
			tries = 0
		case <-time.After(wait):
		}
	}
}

func (u *unit) refused(err error) bool {
	var other *platformError
	switch {
	case errors.As(err, &other):
		u.rec.platforms, u.rec.digest = other.has, other.digest
		u.reject(host.ReasonPlatformMismatch, err.Error())
	case errors.Is(err, errInvalid):
		u.reject(host.ReasonInvalidSpec, err.Error())
	default:
		return false
	}
	return true
}

func (u *unit) pulling(message string, retry time.Time, reason string) {
	s := u.rec.state(u.name, host.Pulling)
	s.Message, s.RetryAt, s.Reason = message, retry, reason
	u.tell(s)
}

// interruptible lets a new wish end what follows, unless it has come already.
func (u *unit) interruptible(want host.Task, cancel context.CancelFunc) bool {
	u.h.mu.Lock()
	defer u.h.mu.Unlock()
	if u.want == nil || !reflect.DeepEqual(*u.want, want) {
		return false
	}
	u.interrupt = cancel
	return true
}

func (u *unit) uninterruptible() {
	u.h.mu.Lock()
	defer u.h.mu.Unlock()
	u.interrupt = nil
}
