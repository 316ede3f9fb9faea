package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/quorum"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// known are the managers as this one knows them; none before it has a store.
func (n *node) known() []quorum.Member {
	if q := n.member.Load(); q != nil {
		return q.Known()
	}
	return nil
}

func addressOf(m quorum.Member) string { return strings.TrimPrefix(m.URL, "https://") }

// addresses are where nodes find managers.
func (o *office) addresses() (out []string) {
	for _, m := range o.node.known() {
		if !m.Learner {
			out = append(out, addressOf(m))
		}
	}
	slices.Sort(out)
	return out
}

// leaderless is how long a manager without a leader is waited for; electing one takes less.
const leaderless = 5 * time.Second

// Addresses implements server.Members.
func (o *office) Addresses() ([]string, error) {
	if q := o.node.member.Load(); q != nil {
		if h := q.Health(); h.Age > leaderless {
			return nil, fmt.Errorf("%w: manager %s has heard no leader for %s", store.ErrUnavailable, o.node.id.Name, h.Age.Round(time.Second))
		}
	}
	return o.addresses(), nil
}

// IsManager implements server.Members.
func (o *office) IsManager(node string) bool {
	return slices.ContainsFunc(o.node.known(), func(m quorum.Member) bool { return m.Name == node })
}

// Place implements server.Members. Only a node that shall be a manager gets room.
func (o *office) Place(ctx context.Context, name string, w server.PlaceWish) (server.Place, error) {
	q := o.node.member.Load()
	if q == nil {
		return server.Place{}, fmt.Errorf("%w: the store is not there yet", store.ErrUnavailable)
	}
	x, err := q.Store().Get(ctx, meta.Key{Kind: v1.NodeKind.Name, Name: name})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return server.Place{}, fmt.Errorf("%w: node %s was removed from the cluster", store.ErrForbidden, name)
	case err != nil:
		return server.Place{}, err
	}
	if x.(*v1.Node).Spec.Role == v1.RoleWorker {
		return server.Place{}, fmt.Errorf("%w: node %s is to be a worker", store.ErrForbidden, name)
	}
	if w.Moved {
		return server.Place{}, q.Readdress(ctx, name, w.Address)
	}
	if w.Replace {
		if err := q.Remove(ctx, name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return server.Place{}, err
		}
	}
	if err := o.node.keepAddress(); err != nil { // once there are others, this one cannot start without
		return server.Place{}, err
	}
	j, err := q.AddLearner(ctx, name, w.Address)
	return server.Place{ID: j.ID, Peers: j.Peers}, err
}

// Managers implements server.Members.
func (o *office) Managers(ctx context.Context, certain bool) ([]server.MemberState, error) {
	q := o.node.member.Load()
	if q == nil {
		return nil, fmt.Errorf("%w: the store is not there yet", store.ErrUnavailable)
	}
	if certain { // whoever has read from a majority has heard of all that it knew before
		if _, err := q.Store().Get(ctx, clusterKey); err != nil {
			return nil, err
		}
	}
	all, err := q.Members(ctx)
	if err != nil {
		return nil, err
	}
	var out []server.MemberState
	for _, m := range all {
		out = append(out, o.stateOf(q, m))
	}
	slices.SortFunc(out, func(a, b server.MemberState) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (o *office) stateOf(q *quorum.Quorum, m quorum.Member) server.MemberState {
	s := server.MemberState{Name: m.Name, Leader: m.Leader, Voter: !m.Learner, Reachable: m.Reachable}
	if o.node.several() {
		s.Address = addressOf(m)
	}
	if m.Name == o.node.id.Name {
		h := q.Health()
		if s.Detail = strings.Join(h.Warnings, "; "); h.Err != nil {
			s.Detail = h.Err.Error()
		}
	}
	return s
}

// Heard implements server.Members. What the leader must know it hears within gather, of many nodes at once.
func (o *office) Heard(node string) {
	if o.node.leading.get() {
		o.node.status.beat(node)
		return
	}
	o.mu.Lock()
	o.heard[node] = true
	o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// Relayed implements server.Members.
func (o *office) Relayed(nodes []string) error {
	if !o.node.leading.get() {
		return fmt.Errorf("%w: %s does not lead", store.ErrUnavailable, o.node.id.Name)
	}
	for _, node := range nodes {
		o.node.status.beat(node)
	}
	return nil
}

// How signs of life are passed on: gathered for a part of the time between two of them, and given up after so long, since newer
// ones follow. At three seconds it is half a second, and the leader of a hundred nodes is called four times a second, not twenty.
const (
	gatherPart  = 6
	relayWithin = time.Second
)

// gather is how long signs of life wait for each other.
func (n *node) gather() time.Duration {
	if every := time.Duration(n.every.Load()); every > 0 {
		return min(every, v1.DefaultHeartbeat) / gatherPart
	}
	return v1.DefaultHeartbeat / gatherPart
}

// relay passes on to the leader what is heard here.
func (o *office) relay(ctx context.Context) {
	for {
		select {
		case <-o.news:
		case <-ctx.Done():
			o.hangUp()
			return
		}
		sleep(ctx, o.node.gather())
		o.mu.Lock()
		nodes := slices.Collect(maps.Keys(o.heard))
		clear(o.heard)
		o.mu.Unlock()
		if err := o.pass(ctx, nodes); err != nil && ctx.Err() == nil {
			o.node.log.V(1).Info("the leader did not hear of signs of life", "cause", err.Error())
		}
	}
}

func (o *office) pass(ctx context.Context, nodes []string) error {
	if o.node.leading.get() { // since then
		return o.Relayed(nodes)
	}
	ctx, cancel := context.WithTimeout(ctx, relayWithin)
	defer cancel()
	for _, m := range o.node.known() {
		if m.Leader && m.Name != o.node.id.Name {
			s, err := o.dial(addressOf(m))
			if err != nil {
				return err
			}
			return s.Relay(ctx, nodes)
		}
	}
	return errors.New("there is no leader")
}

// dial returns the API of another manager.
func (o *office) dial(address string) (*grpcstore.Store, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.dialled[address]; s != nil {
		return s, nil
	}
	id, err := keys.OpenNode(o.node.keysDir())
	if err != nil {
		return nil, err
	}
	s, err := grpcstore.Dial(address, grpcstore.Options{TLS: id.TLS()})
	if err == nil {
		o.dialled[address] = s
	}
	return s, err
}

func (o *office) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for address, s := range o.dialled {
		_ = s.Close()
		delete(o.dialled, address)
	}
}
