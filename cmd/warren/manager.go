package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/authority"
	"warren.io/warren/controllers/managers"
	"warren.io/warren/controllers/nodes"
	"warren.io/warren/runtime/control"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
)

// upManager starts what makes a manager, which is a node, too, and returns when it ends.
func (n *node) upManager(ctx context.Context, api *server.Server) error {
	if err := n.serveKeys(api); err != nil {
		return err
	}
	n.openAudit()
	n.begin(func() { n.moved(ctx) })
	if err := n.join(ctx); err != nil {
		return err
	}
	n.begin(func() { n.office.follow(ctx, api) })
	n.begin(func() { n.settleKeys(ctx) })
	if err := n.openHost(ctx); err != nil {
		return err
	}
	n.log.Info("node is up", "node", n.id.Name, "cluster", n.id.Cluster, "version", version, "data", n.dataDir, "socket", n.runDir+"/"+server.SocketName)
	n.begin(func() { n.lead(ctx) })
	n.begin(func() { n.beat(ctx) })
	n.begin(func() { n.office.relay(ctx) })
	n.begin(func() { n.keepCertificate(ctx) })
	n.begin(func() { n.introduce(ctx) })
	n.begin(debug.FreeOSMemory) // unpacking programs and replaying logs took some that a node may not need for days
	n.begin(func() { n.followImages(ctx) })
	n.begin(func() { n.followBackups(ctx) })
	if n.manifests != "" {
		n.begin(func() {
			n.brought.wait(ctx)
			n.followManifests(ctx)
		})
	}
	select {
	case <-n.quorum.Done():
		return n.lost(ctx, n.quorum.Err())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lead runs the leader's controllers while this node leads.
func (n *node) lead(ctx context.Context) {
	n.ended("leader", n.quorum.Lead(ctx, func(ctx context.Context, s store.Store) error {
		n.leading.set(true)
		defer n.leading.set(false)
		engine := &control.Engine{Name: "leader", Store: store.Seal(s, &n.ring), Kinds: v1.Kinds, Log: n.log.WithName("leader"), Record: record, Trace: &n.trace, Done: n.metrics.reconciled}
		beats := nodes.NewBeats(time.Now(), func(node string) { engine.Poke("nodes", node) })
		n.status.beats(beats)
		engine.Controllers = append(leaderControllers(beats), managers.Controller{Members: members{n, ctx, &flag{}}},
			authority.Controller{Keys: keys.Rotation{Ring: &n.ring}, Self: n.id.Name})
		defer n.metrics.engines.add(engine)()
		err := engine.Run(ctx)
		if errors.Is(err, store.ErrFenced) {
			return nil
		}
		return err
	}))
}

// beat is this node's sign of life. It stays in memory.
func (n *node) beat(ctx context.Context) {
	for tick := time.NewTicker(v1.DefaultHeartbeat); ; {
		n.office.Heard(n.id.Name)
		n.keepManagers()
		select {
		case <-tick.C:
		case pace := <-n.pace:
			tick.Reset(pace)
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// beatEach sets the time between two signs of life. Only the agent's engine calls it.
func (n *node) beatEach(d time.Duration) {
	n.every.Store(int64(d))
	select {
	case <-n.pace:
	default:
	}
	n.pace <- d
}
