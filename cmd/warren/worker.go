package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/journal"
)

// upWorker starts what makes a worker and returns when it ends: the agent, over a store that is elsewhere.
func (n *node) upWorker(ctx context.Context, api *server.Server) (err error) {
	if n.manifests != "" {
		n.log.Info("--manifests is for managers; this node is a worker and does not look at it", "dir", n.manifests)
		n.status.set("manifests", nil)
	}
	if n.link, err = openLink(n.id.Managers, n.keysDir(), n.saveManagers, n.log.WithName("link")); err != nil {
		return err
	}
	n.link.renewed = n.keyring.changed
	known := n.openJournal(moving{n.link.store, n.link})
	n.journal.Store(known)
	n.own = patient{known}
	n.late.Open(readOnly{store.View(frank{known, n.id.Name}, told), n})
	n.status.set("store", errors.New("no manager has answered yet"))
	n.begin(func() { known.Run(ctx) })
	n.begin(func() { n.link.beat(ctx, n.pace, n.tellLink()) })
	n.begin(func() { n.link.reach(ctx, api.Serve) })
	n.begin(func() { n.link.renew(ctx) })
	if err := n.openHost(ctx); err != nil {
		return err
	}
	n.log.Info("node is up", "node", n.id.Name, "cluster", n.id.Cluster, "role", n.id.Role, "managers", n.id.Managers, "version", version, "data", n.dataDir)
	n.begin(debug.FreeOSMemory)
	n.begin(func() { n.followImages(ctx) })
	<-ctx.Done()
	return context.Cause(ctx)
}

// wish is told what the managers want this node to be. A manager waits until it is removed from the others; a worker gets what
// a manager needs, and begins anew as one.
func (n *node) wish(role v1.Role) {
	if !n.id.worker() || role != v1.RoleManager || n.wished.get() {
		return
	}
	n.wished.set(true)
	n.begin(func() {
		defer n.wished.set(false)
		if err := n.rise(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Error(err, "cannot become a manager, trying again")
			sleep(n.ctx, riseAgain)
		}
	})
}

// riseAgain is the wait after a try to become a manager that failed.
const riseAgain = 10 * time.Second

func (n *node) rise(ctx context.Context) error {
	if n.advertise == "" {
		return errors.New("this node has no address for the others\ntry: warren run --listen HOST:PORT")
	}
	r, err := n.link.renewNow(ctx)
	if err != nil || r.Role != string(v1.RoleManager) {
		return err
	}
	if err := n.promoted(r); err != nil {
		return err
	}
	n.end(errAnew)
	return nil
}

// patience is how long a worker that starts waits for its managers before it goes by what it knew. They may start at the same
// time after a power cut, and what they say now counts more.
const patience = 5 * time.Second

func (n *node) journalDir() string { return filepath.Join(n.dataDir, "journal") }

func (n *node) openJournal(managers store.Store) *journal.Store {
	return journal.Open(journal.Config{
		Dir: n.journalDir(), Node: n.id.Name, Cluster: n.id.Cluster, Kinds: v1.Kinds, Remote: managers,
		Volatile: []string{v1.EventKind.Name}, Anchor: clusterKey, Same: n.sameCluster, Patience: patience, Log: n.log.WithName("journal"),
	})
}

func (n *node) sameCluster(o meta.Object) error {
	if id := o.(*v1.Cluster).Spec.ID; id != n.id.Cluster {
		return fmt.Errorf("node %s belongs to %s, they have %s", n.id.Name, n.id.Cluster, id)
	}
	return nil
}

// patient lets the agent begin when there is something to begin with.
type patient struct{ *journal.Store }

// List implements store.Store.
func (p patient) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	if err := p.Await(ctx); err != nil {
		return nil, 0, err
	}
	return p.Store.List(ctx)
}

// frank tells people who ask while no manager is heard since when the answers may be old.
type frank struct {
	*journal.Store
	node string
}

var errAlone = errors.New("no manager is heard")

func (f frank) tell(ctx context.Context) {
	if since := f.Alone(); !since.IsZero() {
		store.TellStale(ctx, store.Stale{Node: f.node, Age: max(time.Since(since), 0), Why: errAlone})
	}
}

// Get implements store.Store.
func (f frank) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	f.tell(ctx)
	return f.Store.Get(ctx, key)
}

// List implements store.Store.
func (f frank) List(ctx context.Context) ([]meta.Object, store.Revision, error) {
	f.tell(ctx)
	return f.Store.List(ctx)
}

// saveManagers keeps where the managers are.
func (n *node) saveManagers(all []string) error {
	n.kept.Lock()
	defer n.kept.Unlock()
	id := n.id
	id.Managers = all
	return id.save(n.dataDir)
}

// tellLink returns what says on the board and, when it changes, in the log how the link is.
func (n *node) tellLink() func(error) {
	var mu sync.Mutex
	up, told := false, false
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		n.status.set("store", err)
		switch {
		case err == nil && !up:
			n.log.Info("managers hear this node")
		case err != nil && (up || !told):
			n.log.Error(err, "managers do not hear this node; its tasks go on")
		}
		up, told = err == nil, true
	}
}

// askManager is said to people who want to change something at a worker.
func (n *node) askManager() error {
	return fmt.Errorf("%w: node %s is a worker; what it does is decided at the managers\ntry: the same with --server %s and --keys DIR, or on that machine",
		store.ErrForbidden, n.id.Name, strings.Join(n.link.addresses(), " or "))
}

// told is what a worker can tell of: of services it has only the images.
func told(o meta.Object) bool { return o.Key().Kind != v1.ServiceKind.Name }

// readOnly is what people see at a worker: what the node itself sees.
type readOnly struct {
	store.Store
	node *node
}

// Get implements store.Store.
func (r readOnly) Get(ctx context.Context, key meta.Key) (meta.Object, error) {
	if key.Kind == v1.ServiceKind.Name {
		return nil, r.node.askManager()
	}
	return r.Store.Get(ctx, key)
}

// Commit implements store.Store.
func (r readOnly) Commit(context.Context, ...store.Op) (store.Revision, error) {
	return 0, r.node.askManager()
}
