package quorum

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"warren.io/warren/runtime/store"
)

// ErrQuorum means that a change was refused because the managers that remain could not commit any more.
var ErrQuorum = errors.New("too few managers would be left")

// handOverPatience is how long another member may take to begin to lead.
const handOverPatience = 2 * time.Second

// Member is one of the managers that keep the store.
type Member struct {
	Name      string
	ID        uint64
	URL       string // where the others reach it
	Learner   bool   // it receives everything and has no vote yet
	Leader    bool
	Reachable bool // it answered just now
}

// Members lists all members by id, as this one knows them, and asks each whether it is there.
func (q *Quorum) Members(ctx context.Context) ([]Member, error) {
	if err := q.down(); err != nil {
		return nil, fmt.Errorf("list managers: %w", err)
	}
	return q.called(ctx, q.known()), nil
}

// Known lists the members without asking whether they are there.
func (q *Quorum) Known() []Member {
	if q.down() != nil {
		return nil
	}
	return q.known()
}

// MayRemove tells what Remove would refuse now.
func (q *Quorum) MayRemove(ctx context.Context, name string) error {
	members, err := q.Members(ctx)
	if err == nil {
		_, err = removable(members, name)
	}
	if err != nil {
		return fmt.Errorf("remove manager %q: %w", name, err)
	}
	return nil
}

// known lists the members without asking them.
func (q *Quorum) known() []Member {
	lead := q.server.Leader()
	var out []Member
	for _, m := range q.server.Cluster().Members() {
		x := Member{Name: m.Name, ID: uint64(m.ID), Learner: m.IsLearner, Leader: m.ID == lead}
		if len(m.PeerURLs) > 0 {
			x.URL = m.PeerURLs[0]
		}
		out = append(out, x)
	}
	return out
}

// called finds out which of the members answer.
func (q *Quorum) called(ctx context.Context, members []Member) []Member {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	var all sync.WaitGroup
	for i := range members {
		m := &members[i]
		if m.ID == uint64(q.server.MemberID()) {
			m.Reachable = true
		} else if q.caller != nil {
			all.Go(func() { m.Reachable = q.answers(ctx, m.URL) })
		}
	}
	all.Wait()
	return members
}

func (q *Quorum) answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/raft/probing", nil)
	if err != nil {
		return false
	}
	resp, err := q.caller.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Doubt tells why no majority can be expected to answer for a while: there is no leader, or it is not there when it is called.
func (q *Quorum) Doubt(ctx context.Context) error {
	lead := q.server.Leader()
	if lead == q.server.MemberID() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	for _, m := range q.known() {
		if m.ID == uint64(lead) && (q.caller == nil || q.answers(ctx, m.URL)) {
			return nil
		}
	}
	return errors.New("no leader answers")
}

// votes counts the members that vote, and those of them that are reachable.
func votes(members []Member) (voters, reachable int) {
	for _, m := range members {
		if m.Learner {
			continue
		}
		voters++
		if m.Reachable {
			reachable++
		}
	}
	return voters, reachable
}

func majority(voters int) int { return voters/2 + 1 }

// Remove takes a member out of the cluster, reachable or not. It refuses with ErrQuorum what would leave less than a
// majority reachable. store.ErrNotFound means that there is none of that name, perhaps because it was removed already. The
// member itself ends with ErrRemoved when it hears of it.
func (q *Quorum) Remove(ctx context.Context, name string) error {
	members, err := q.Members(ctx)
	if err == nil {
		err = q.remove(ctx, members, name)
	}
	if err != nil {
		return fmt.Errorf("remove manager %q: %w", name, err)
	}
	q.log.Info("Removed a manager", "name", name)
	return nil
}

// removable finds a member among all; it is refused where the others could not go on.
func removable(members []Member, name string) (target Member, err error) {
	at := slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
	if at < 0 {
		return Member{}, store.ErrNotFound
	}
	target = members[at]
	voters, reachable := votes(slices.Delete(slices.Clone(members), at, at+1))
	switch {
	case voters == 0:
		return target, fmt.Errorf("%w: it is the only one", ErrQuorum)
	case !target.Learner && reachable < majority(voters):
		return target, fmt.Errorf("%w: %d of the %d others are reachable, %d are needed", ErrQuorum, reachable, voters, majority(voters))
	}
	return target, nil
}

func (q *Quorum) remove(ctx context.Context, members []Member, name string) error {
	target, err := removable(members, name)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.ID == target.ID })
	if target.Leader && target.ID == uint64(q.server.MemberID()) {
		if err := q.handOver(ctx, rest); err != nil {
			return err
		}
	}
	return q.change(ctx, func(ctx context.Context) error {
		_, err := q.server.RemoveMember(ctx, target.ID)
		return err
	})
}

// handOver lets another voter lead, so that nobody has to wait for an election.
func (q *Quorum) handOver(ctx context.Context, to []Member) error {
	ctx, cancel := context.WithTimeout(ctx, handOverPatience)
	defer cancel()
	for _, m := range to {
		if !m.Learner && m.Reachable {
			return q.server.MoveLeader(ctx, uint64(q.server.MemberID()), m.ID)
		}
	}
	return fmt.Errorf("%w: nobody could lead", ErrQuorum)
}

// change makes a change of the membership. A leader drops, without a word, one that comes before it has done an earlier one,
// or all that it found in its log when it began to lead; so it is tried again, and may be found done.
func (q *Quorum) change(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, changePatience)
	defer cancel()
	for {
		attended, release, err := q.attend(ctx)
		if err != nil {
			return err
		}
		attempt, end := context.WithTimeout(attended, attemptPatience)
		err = do(attempt)
		cause, late := context.Cause(attended), attempt.Err() != nil
		end()
		release()
		switch {
		case err == nil || isDone(err):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %v", store.ErrUnknown, err)
		case cause != nil && q.server.Leader() == 0:
			return fmt.Errorf("%w: %v", store.ErrUnknown, cause)
		case !late:
			return err
		}
	}
}

// isDone tells that a change was made already. What is added has an id that nothing else has.
func isDone(err error) bool {
	for _, done := range []error{membership.ErrIDExists, membership.ErrIDRemoved, membership.ErrIDNotFound, membership.ErrMemberNotLearner} {
		if errors.Is(err, done) {
			return true
		}
	}
	return false
}

// find returns the member of a name as etcd knows it, or nil.
func (q *Quorum) find(name string) *membership.Member {
	for _, m := range q.server.Cluster().Members() {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// self is this member as the cluster knows it, or nil once it was removed.
func (q *Quorum) self() *membership.Member {
	return q.server.Cluster().Member(types.ID(q.server.MemberID()))
}
