package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	v1 "warren.io/warren/apis/v1"
	keys "warren.io/warren/runtime/identity"
)

// keyring is what this node shows and believes. It implements the Keys of the agent's controller of the node.
type keyring struct {
	node *node
	news chan v1.ClusterStatus // the newest that was heard

	mu     sync.Mutex
	front  *keys.Front // of a manager that listens
	poke   func()      // makes the agent look at State again
	loaded string      // what etcd believes: it reads that once
}

// Believe implements the agent's Keys. What it comes to is seen by State.
func (k *keyring) Believe(s v1.ClusterStatus) {
	for {
		select {
		case k.news <- s:
			return
		case <-k.news: // older
		default:
		}
	}
}

// State implements the agent's Keys.
func (k *keyring) State() (trusts, signer string) {
	n, dir := k.node, k.node.keysDir()
	if n.id.worker() {
		return keys.Believed(dir), n.link.identity.Signer()
	}
	k.mu.Lock()
	front, loaded := k.front, k.loaded
	k.mu.Unlock()
	if front == nil {
		return keys.Believed(dir), ""
	}
	if !n.several() {
		return keys.Believed(dir), front.Signer()
	}
	id, err := keys.OpenNode(dir)
	if err != nil || id.Signer() != front.Signer() {
		return loaded, ""
	}
	return loaded, front.Signer()
}

// changed has the agent look at State again.
func (k *keyring) changed() {
	k.mu.Lock()
	poke := k.poke
	k.mu.Unlock()
	if poke != nil {
		poke()
	}
}

func (k *keyring) tell(poke func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.poke = poke
}

// opened notes what is shown at the port.
func (k *keyring) opened(f *keys.Front) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.front = f
}

// load notes what etcd will believe.
func (k *keyring) load() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loaded = keys.Believed(k.node.keysDir())
}

// follow does what the cluster says of authorities.
func (k *keyring) follow(ctx context.Context) {
	for {
		select {
		case s := <-k.news:
			for s.Authorities != "" {
				err := k.obey(ctx, s)
				if err == nil || ctx.Err() != nil {
					break
				}
				k.node.log.Error(err, "what the cluster says of its authorities cannot be done yet, trying again")
				if sleep(ctx, again); len(k.news) > 0 {
					break
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

func (k *keyring) obey(ctx context.Context, s v1.ClusterStatus) error {
	n, dir := k.node, k.node.keysDir()
	if n.id.worker() {
		if err := keys.Believe(dir, s.Authorities); err != nil {
			return err
		}
		if n.link.identity.Outdated() {
			n.link.hurried()
		}
		k.changed()
		return nil
	}
	k.mu.Lock()
	front, loaded := k.front, k.loaded
	k.mu.Unlock()
	if front == nil {
		return nil
	}
	pins := v1.Pins(s.Authorities)
	if has, _ := os.ReadFile(filepath.Join(dir, "ca.crt")); string(has) != s.Authorities || front.Signer() != pins[0] {
		if err := k.settle(ctx, front); err != nil {
			return err
		}
	}
	slices.Sort(pins)
	want := strings.Join(pins, ",")
	if n.several() && s.Turn == n.id.Name && loaded != want && keys.Believed(dir) == want {
		n.log.Info("starting anew to believe the authorities of the cluster", "believed", want)
		n.end(errAnew)
	}
	k.changed()
	return nil
}

// settle takes over the Authority of the store, and makes anew what this manager shows.
func (k *keyring) settle(ctx context.Context, front *keys.Front) error {
	n := k.node
	if err := keys.Settle(ctx, n.keysDir(), n.quorum.Store(), &n.ring); err != nil {
		return err
	}
	if n.several() {
		if _, _, err := keys.OpenMember(n.keysDir(), n.id.Name); err != nil {
			return err
		}
	}
	return front.Refresh()
}
