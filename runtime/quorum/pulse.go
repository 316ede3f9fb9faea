package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"

	"warren.io/warren/runtime/store"
)

const (
	// beat is how often a member that may have others looks whether there is a leader: etcd tells who comes, not who goes.
	beat = peerTick * time.Millisecond
	// slowBeat is how often while there are no others.
	slowBeat = time.Second
	// electionPatience is how long commits wait for a new leader while a majority is reachable.
	electionPatience = 2 * peerElectionTicks * peerTick * time.Millisecond
	// settleTime is how long after a new leader's first entry what was sent before it may still be answered: its log has
	// all that is not lost before that entry. settlePatience is how long that entry is waited for.
	settleTime     = 50 * time.Millisecond
	settlePatience = 2 * time.Second
	// callEvery is how often the others are called while there is no leader.
	callEvery = 500 * time.Millisecond
)

// errLeaderChanged is why nobody waits any longer for an answer.
var errLeaderChanged = errors.New("the leader changed before the answer came")

// pulse knows whether a majority can be expected to answer. Without it a commit that was sent to a dead leader, or to none,
// would be waited for until etcd gives up: more than five seconds.
type pulse struct {
	mu      sync.Mutex
	term    context.Context // of all that was sent under this leader; it ends with the cause
	end     context.CancelCauseFunc
	leader  types.ID
	seen    time.Time // when there was a leader, last
	called  time.Time // when the others were called, last
	refusal error     // why there will be no answer
	changed chan struct{}
}

func newPulse() *pulse {
	p := &pulse{changed: make(chan struct{}), seen: time.Now()}
	p.term, p.end = context.WithCancelCause(context.Background())
	return p
}

// roll begins a new term; the old one ends when that is closed, or at once. The mutex is held.
func (p *pulse) roll(cause error, when <-chan struct{}) {
	end := p.end
	if when == nil {
		end(cause)
	} else {
		go func() {
			select {
			case <-when:
			case <-time.After(settlePatience):
			}
			time.AfterFunc(settleTime, func() { end(cause) })
		}()
	}
	p.term, p.end = context.WithCancelCause(context.Background())
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pulse) look() (term context.Context, refusal error, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.term, p.refusal, p.changed
}

// age is for how long there has been no leader.
func (p *pulse) age() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leader != 0 {
		return 0
	}
	return time.Since(p.seen)
}

// beats feels the pulse until the member ends.
func (q *Quorum) beats() {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	slow := false
	first := q.server.FirstCommitInTermNotify()
	for {
		changed := q.server.LeaderChangedNotify()
		q.feel(first)
		first = q.server.FirstCommitInTermNotify()
		if alone := len(q.server.Cluster().Members()) < 2; alone != slow {
			slow = alone
			ticks.Reset(map[bool]time.Duration{true: slowBeat, false: beat}[slow])
		}
		select {
		case <-ticks.C:
		case <-changed:
		case <-q.done:
			return
		}
	}
}

// feel looks at the leader; first is closed when one of a new term has had its first entry committed.
func (q *Quorum) feel(first <-chan struct{}) {
	p, now, leader := q.pulse, time.Now(), q.server.Leader()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case leader != 0:
		if p.seen = now; p.refusal != nil {
			p.refusal = nil
			q.log.Info("There is a leader again")
		}
		if leader != p.leader {
			p.leader = leader
			p.roll(errLeaderChanged, first)
		}
		return
	case p.leader != 0:
		p.leader, p.called = 0, time.Time{}
	}
	if now.Sub(p.called) >= callEvery {
		p.called = now
		go q.judge()
	}
}

// judge calls the others, and decides whether it is worth waiting for a leader.
func (q *Quorum) judge() {
	voters, reachable := votes(q.called(context.Background(), q.known()))
	p := q.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leader != 0 || q.server.Leader() != 0 {
		return
	}
	var why error
	switch late := time.Since(p.seen) > electionPatience; {
	case reachable < majority(voters):
		why = fmt.Errorf("%w: no quorum: %d of %d managers reachable", store.ErrUnavailable, reachable, voters)
	case late:
		why = fmt.Errorf("%w: no leader yet: %d of %d managers reachable", store.ErrUnavailable, reachable, voters)
	}
	if why == nil && p.refusal == nil || why != nil && p.refusal != nil && why.Error() == p.refusal.Error() {
		return
	}
	p.refusal = why
	if why != nil {
		q.log.Info("Nothing can be committed", "reason", why.Error())
		p.roll(why, nil)
	}
}

// attend makes sure that whoever needs a majority is not kept waiting for an answer that will not come: it waits while a
// leader is being elected, refuses while none can be, and ends the context when the leader that was asked is gone.
func (q *Quorum) attend(ctx context.Context) (context.Context, func(), error) {
	if q.pulse == nil {
		return ctx, func() {}, nil
	}
	for {
		term, refusal, changed := q.pulse.look()
		switch {
		case q.server.Leader() != 0:
			inner, cancel := context.WithCancelCause(ctx)
			stop := context.AfterFunc(term, func() { cancel(context.Cause(term)) })
			return inner, func() { stop(); cancel(nil) }, nil
		case refusal != nil:
			return nil, nil, refusal
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-q.done:
			return nil, nil, q.down()
		}
	}
}
