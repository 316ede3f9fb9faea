package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/agent/tasks"
	"warren.io/warren/controllers/events"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/why"
)

const tasksController = tasks.Name

var visible, record = tasks.Visible, events.Record

// errForeign means that the store does not belong to the cluster that this node does.
var errForeign = errors.New("store belongs to another cluster")

// join opens the store to everybody after it was seen to be the one that this node belongs to; a new one is given its
// Cluster. A store that was emptied or exchanged is not obeyed: its empty list would stop every task.
func (n *node) join(ctx context.Context) error {
	s := store.Seal(n.own, &n.ring)
	if err := n.received(ctx); err != nil {
		return err
	}
	cluster, err := n.cluster(ctx, s)
	if err != nil {
		return err
	}
	switch id := cluster.Spec.ID; {
	case n.id.Cluster == "":
		n.id.Cluster = id
		if err := n.id.save(n.dataDir); err != nil {
			return err
		}
	case n.id.Cluster != id:
		err := fmt.Errorf("%w: node %s belongs to %s, the store in %s/etcd is of %s; bring the right one back, or run warren reset",
			errForeign, n.id.Name, n.id.Cluster, n.dataDir, id)
		return n.refuse(ctx, err)
	}
	if rev := n.quorum.Health().Revision; rev < n.id.Epoch {
		return n.refuse(ctx, fmt.Errorf("%w: node %s was recovered at revision %d, the store in %s/etcd is from before that, at %d; bring the right one back, or recover again",
			errForeign, n.id.Name, n.id.Epoch, n.dataDir, rev))
	}
	recorder := why.Recorder{Trace: &n.trace, Event: record, Now: time.Now, Done: n.noted}
	// A worker asks another manager rather than believe an old answer.
	n.office.open(store.Seal(n.quorum.Store(), &n.ring), recorder)
	n.late.Open(store.Veil(managersStay{store.Admit(recorder.Over(s), v1.Kinds, time.Now), n}, v1.Kinds))
	n.status.set("store", nil)
	return nil
}

// received waits until this manager has what it needs to know who it is: one that was a member before has it, though it may be
// old; one that joins gets it from the others.
func (n *node) received(ctx context.Context) error {
	if !n.several() {
		return nil
	}
	if _, err := n.quorum.Local().Get(ctx, clusterKey); err == nil || n.id.Cluster == "" {
		return nil
	}
	n.status.set("store", errors.New("is being received from the other managers"))
	n.late.Explain("the store is being received from the other managers")
	select {
	case <-n.quorum.Ready():
		return nil
	case <-n.quorum.Done():
		return n.lost(ctx, n.quorum.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *node) cluster(ctx context.Context, s store.Store) (*v1.Cluster, error) {
	for {
		o, err := s.Get(ctx, meta.Key{Kind: "Cluster", Name: v1.ClusterName})
		switch {
		case err == nil:
			return o.(*v1.Cluster), nil
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		case n.id.Cluster != "":
			return nil, n.refuse(ctx, fmt.Errorf("%w: node %s belongs to %s, the store in %s/etcd is empty; bring it back, or run warren reset",
				errForeign, n.id.Name, n.id.Cluster, n.dataDir))
		}
		if left, _ := os.ReadDir(filepath.Join(n.runDir, "tasks")); len(left) > 0 {
			return nil, n.refuse(ctx, fmt.Errorf("%w: tasks of an earlier node run below %s, but %s is new; bring back what was there, or run warren reset",
				errForeign, n.runDir, n.dataDir))
		}
		c := meta.New[v1.Cluster](v1.ClusterName)
		c.Spec.ID = newClusterID()
		c.SetDefaults()
		c.Metadata.Created, c.Metadata.Generation = time.Now().UTC(), 1
		if _, err := s.Commit(ctx, store.CreateOp(c)); err != nil && !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
}

// refuse says what is wrong for as long as this process runs, and changes nothing.
func (n *node) refuse(ctx context.Context, err error) error {
	n.log.Error(err, "node stays out; tasks go on")
	n.status.set("store", err)
	n.late.Explain(err.Error())
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-n.quorum.Done():
		return n.lost(ctx, n.quorum.Err())
	}
}

// tell writes an event about the cluster that no controller can know of.
func (n *node) tell(ctx context.Context, warning bool, reason, message string) {
	n.tellOf(ctx, "manifests", control.Note{About: clusterKey, Warning: warning, Reason: reason, Message: message})
}

// record makes an event that this node tells.
func (n *node) record(find func(meta.Key) (meta.Object, bool), source string, note control.Note, now time.Time) meta.Object {
	e := record(find, source, note, now).(*v1.Event)
	e.Spec.Node = n.id.Name
	return e
}

// tellOf writes an event.
func (n *node) tellOf(ctx context.Context, source string, note control.Note) {
	find := func(k meta.Key) (meta.Object, bool) {
		o, err := n.own.Get(ctx, k)
		return o, err == nil
	}
	e := n.record(find, source, note, time.Now().UTC())
	_, err := n.own.Commit(ctx, store.Op{Verb: store.Put, Key: e.Key(), Object: e, Guard: store.Any})
	if err != nil && ctx.Err() == nil {
		n.log.Error(err, "event is lost", "reason", note.Reason)
	}
}
