package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/quorum"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// errAnew ends this process so that another takes its place, in another role.
var errAnew = errors.New("the role of this node has changed")

func (n *node) etcdDir() string { return filepath.Join(n.dataDir, "etcd") }

// openStore starts this manager's member: as it was left, as the first of a cluster, or as one that joins others.
func (n *node) openStore(ctx context.Context) (err error) {
	if err := os.RemoveAll(n.etcdDir() + gone); err != nil { // of a start that was cut short
		return err
	}
	c := quorum.Config{DataDir: n.etcdDir(), Name: n.id.Name, Kinds: v1.Kinds,
		Log: n.log.WithName("etcd"), Expendable: []string{"Event"}, Done: n.metrics.committed}
	if n.id.Listen != "" { // which another command line may have changed
		if err := n.keepAddress(); err != nil {
			return err
		}
	}
	if n.several() {
		m, id, err := keys.OpenMember(n.keysDir(), n.id.Name)
		if err != nil {
			return err
		}
		n.keyID = id
		n.keyring.load()
		c.Peer = quorum.PeerConfig{Advertise: n.advertise, Cert: m.Cert, Key: m.Key, CA: m.CA}
	}
	if n.quorum, err = n.startMember(ctx, c); err != nil {
		return err
	}
	n.member.Store(n.quorum)
	n.own = n.quorum.Store()
	if n.several() {
		n.own = &store.Fallback{Store: n.quorum.Store(), Local: n.quorum.Local(), Stale: n.stale, Doubt: n.quorum.Doubt, Patience: readPatience}
	}
	return nil
}

// readPatience is how long a read waits for a majority before it is asked whether the leader is there at all.
const readPatience = 250 * time.Millisecond

func (n *node) stale(why error) store.Stale {
	return store.Stale{Node: n.id.Name, Age: n.quorum.Health().Age, Why: why}
}

// several tells whether this manager has others, or may get some.
func (n *node) several() bool { return n.listen != "" && n.advertise != "" }

// startMember starts the member that is there, or makes one among the others that this node knows. One whose files are
// damaged is made anew while the others can go on without it: nothing is lost then.
func (n *node) startMember(ctx context.Context, c quorum.Config) (*quorum.Quorum, error) {
	replace := false
	if quorum.Exists(c.DataDir) || n.id.Cluster == "" || len(n.id.Managers) == 0 {
		q, err := quorum.Start(ctx, c)
		damaged := errors.Is(err, quorum.ErrCorrupt)
		if err == nil || len(n.id.Managers) == 0 || !damaged && !errors.Is(err, quorum.ErrJoinAgain) {
			return q, err
		}
		if replace = damaged; damaged {
			n.log.Error(err, "the store of this manager is damaged; it is fetched from the others", "managers", n.id.Managers)
		}
	}
	place, err := n.place(ctx, grpcstore.PlaceWish{Replace: replace})
	if err != nil {
		return nil, fmt.Errorf("join the managers %s: %w", strings.Join(n.id.Managers, ", "), err)
	}
	if err := discard(c.DataDir); err != nil {
		return nil, err
	}
	return quorum.Join(ctx, c, quorum.Joining{ID: place.ID, Peers: place.Peers})
}

// gone is what a discarded store is called until it is removed.
const gone = ".gone"

// discard removes a store as a whole: what a removal that was cut short leaves, without its log, would start as a cluster of its
// own.
func discard(dir string) error {
	if err := os.RemoveAll(dir + gone); err != nil {
		return err
	}
	if err := os.Rename(dir, dir+gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	folder, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close(), os.RemoveAll(dir+gone))
}

// placeWithin is how long the others may take to make room.
const placeWithin = 20 * time.Second

// place asks the other managers for room, one after the other.
func (n *node) place(ctx context.Context, w grpcstore.PlaceWish) (p grpcstore.Place, err error) {
	w.Address = n.advertise
	if n.advertise == "" {
		return p, errors.New("this node has no address for the others\ntry: warren run --listen HOST:PORT")
	}
	id, err := keys.OpenNode(n.keysDir())
	if err != nil {
		return p, err
	}
	n.kept.Lock()
	managers := n.id.Managers
	n.kept.Unlock()
	var all error
	for _, address := range managers {
		p, err = placeAt(ctx, address, id, w)
		if err == nil {
			return p, nil
		}
		all = errors.Join(all, err)
	}
	return p, all
}

func placeAt(ctx context.Context, address string, id *keys.Node, w grpcstore.PlaceWish) (grpcstore.Place, error) {
	ctx, cancel := context.WithTimeout(ctx, placeWithin)
	defer cancel()
	s, err := grpcstore.Dial(address, grpcstore.Options{TLS: id.TLS()})
	if err != nil {
		return grpcstore.Place{}, err
	}
	defer s.Close()
	return s.Place(ctx, w)
}

// How soon a manager that started and hears no leader has the others told where it is, and how often.
const (
	movedAfter = 3 * time.Second
	movedAgain = 2 * time.Second
)

// moved tells the others where this manager is, if it may be that the leader cannot find it: both may have got new addresses. One
// that is where it was passes it on.
func (n *node) moved(ctx context.Context) {
	if !n.several() || len(n.id.Managers) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-n.quorum.Ready():
		case <-n.quorum.Done():
		case <-ctx.Done():
		}
	}()
	for wait := movedAfter; sleep(ctx, wait); wait = movedAgain {
		if _, err := n.place(ctx, grpcstore.PlaceWish{Moved: true}); err != nil && ctx.Err() == nil {
			n.log.V(1).Info("the other managers cannot be told where this one is", "cause", err.Error())
		}
	}
}

// lost is what to do when the member has ended.
func (n *node) lost(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, quorum.ErrRemoved):
		return n.demoted(ctx, err)
	case errors.Is(err, quorum.ErrCorrupt):
		n.log.Error(err, "the store of this manager is damaged; starting anew")
		return errAnew
	}
	return err
}

// demoted makes a manager that the others have removed a worker of theirs. If they have removed its node, too, they refuse
// it, and it stops what it ran.
func (n *node) demoted(ctx context.Context, err error) error {
	n.kept.Lock()
	defer n.kept.Unlock()
	if len(n.id.Managers) == 0 {
		return fmt.Errorf("%w, and it knows no other; run warren reset", err)
	}
	removed, err := n.askRemoved(ctx)
	if err != nil {
		return err
	}
	if !removed {
		n.log.Info("another manager did not know that this one is a member; starting anew")
		return errAnew
	}
	n.log.Info("this node is a manager no more; going on as a worker", "managers", n.id.Managers)
	n.id.Role, n.id.Listen, n.id.Advertise = v1.RoleWorker, n.listen, n.named
	if err := n.id.save(n.dataDir); err != nil {
		return err
	}
	return errAnew
}

// askRemoved asks the other managers whether this one was removed, until one knows for certain: what it has kept is thrown away
// then, and one that was away itself may only not know of it yet.
func (n *node) askRemoved(ctx context.Context) (bool, error) {
	id, err := keys.OpenNode(n.keysDir())
	for err == nil && ctx.Err() == nil {
		for _, address := range n.id.Managers {
			all, err := managersAt(ctx, address, id)
			if err == nil || errors.Is(err, store.ErrForbidden) {
				return !slices.ContainsFunc(all, func(m grpcstore.MemberState) bool { return m.Name == n.id.Name }), nil
			}
			n.log.Info("this manager was removed, it seems; asking whether that is so", "manager", address, "cause", err.Error())
		}
		sleep(ctx, again)
	}
	return false, errors.Join(err, ctx.Err())
}

func managersAt(ctx context.Context, address string, id *keys.Node) ([]grpcstore.MemberState, error) {
	ctx, cancel := context.WithTimeout(ctx, placeWithin)
	defer cancel()
	s, err := grpcstore.Dial(address, grpcstore.Options{TLS: id.TLS()})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Managers(ctx, true)
}

// promoted makes a worker a manager, which the managers have decided.
func (n *node) promoted(r grpcstore.Renewed) error {
	if err := keys.SaveAuthority(n.keysDir(), r.Authority); err != nil {
		return err
	}
	if err := os.RemoveAll(n.journalDir()); err != nil { // it would be old when this node is a worker again
		return err
	}
	n.log.Info("this node becomes a manager", "address", n.advertise)
	n.id.Role, n.id.Listen, n.id.Advertise = v1.RoleManager, n.listen, n.named
	return n.id.save(n.dataDir)
}

// cleared removes the store of a node that is no manager, which one that was demoted has left.
func (n *node) cleared() error {
	if err := os.RemoveAll(n.etcdDir()); err != nil {
		return err
	}
	return keys.DropAuthority(n.keysDir())
}

// keepAddress writes down where this manager listens, for a start without the flags.
func (n *node) keepAddress() error {
	n.kept.Lock()
	defer n.kept.Unlock()
	if n.id.Listen == n.listen && n.id.Advertise == n.named {
		return nil
	}
	n.id.Listen, n.id.Advertise = n.listen, n.named
	return n.id.save(n.dataDir)
}

// keepManagers writes down where the others are, when that has changed.
func (n *node) keepManagers() {
	if !n.several() {
		return
	}
	var others []string
	for _, m := range n.quorum.Known() {
		if m.Name != n.id.Name && !m.Learner {
			others = append(others, strings.TrimPrefix(m.URL, "https://"))
		}
	}
	slices.Sort(others)
	n.kept.Lock()
	defer n.kept.Unlock()
	if len(others) == 0 || slices.Equal(others, n.id.Managers) {
		return
	}
	id := n.id
	id.Managers, id.Listen, id.Advertise = others, n.listen, n.named
	if err := id.save(n.dataDir); err != nil { // tried again with the next sign of life
		n.log.Error(err, "cannot write down where the other managers are")
		return
	}
	n.id.Managers, n.id.Listen, n.id.Advertise = others, n.listen, n.named
}

// keepCertificate renews that of this manager in time; the others see it with the next connection.
func (n *node) keepCertificate(ctx context.Context) {
	for n.several() && sleep(ctx, 24*time.Hour) {
		if _, _, err := keys.OpenMember(n.keysDir(), n.id.Name); err != nil {
			n.log.Error(err, "certificate of this manager is not renewed")
		}
	}
}

// introduce writes down by which key the first manager is known, as joining does for others.
func (n *node) introduce(ctx context.Context) {
	for n.keyID != "" && ctx.Err() == nil {
		o, err := n.own.Get(ctx, meta.Key{Kind: v1.NodeKind.Name, Name: n.id.Name})
		if err == nil {
			if o.(*v1.Node).Status.Identity != "" {
				return
			}
			x := o.Clone().(*v1.Node)
			x.Status.Identity = n.keyID
			if _, err = n.own.Commit(ctx, store.UpdateOp(x)); err == nil {
				return
			}
		}
		sleep(ctx, again)
	}
}

// members are the managers, to the controller of them.
type members struct {
	node *node
	ctx  context.Context // of the leader
	busy *flag
}

// Names implements managers.Members.
func (m members) Names() (out []string) {
	for _, x := range m.node.quorum.Known() {
		out = append(out, x.Name)
	}
	return out
}

// Remove implements managers.Members.
func (m members) Remove(name string) {
	if m.busy.get() {
		return
	}
	m.busy.set(true)
	m.node.begin(func() {
		defer m.busy.set(false)
		if err := m.node.quorum.Remove(m.ctx, name); err != nil && !errors.Is(err, store.ErrNotFound) && m.ctx.Err() == nil {
			m.node.log.Error(err, "a manager is not removed yet, trying again", "name", name)
		}
	})
}
