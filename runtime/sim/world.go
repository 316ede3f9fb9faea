// Package sim runs a whole cluster in one goroutine from a seed: the real controllers and engines of a leader and of any
// number of nodes, on a store in memory, hosts in memory and a clock that jumps. It injects faults between them and checks
// invariants after every commit. The same seed gives the same history.
package sim

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// Config describes a cluster and how rough its life is. All chances are in thousandths.
type Config struct {
	Seed  uint64
	Nodes int
	// Lag is the most that a commit takes to reach a watcher, StepTime the most that a host takes for one step.
	Lag, StepTime time.Duration
	// LostAnswers is the chance that a commit is applied but its writer is not told, and as much that it is lost on the way.
	LostAnswers int
	// StartFails is the chance that a process cannot be started, while Live lasts.
	StartFails int
	// Skew is by how much the clocks of nodes differ at most from the world's, ManagerSkew those of managers.
	Skew, ManagerSkew time.Duration
	// Managers is how many there are; 0 is 1. FollowerLag is the most by which one hears of commits later than the first.
	Managers    int
	FollowerLag time.Duration
	// Capacity of each node; the zero value means more than anyone needs.
	Capacity v1.ResourceList
	// Loose leaves out the costly checks, for large clusters.
	Loose bool
}

// World is one simulated cluster.
type World struct {
	Config
	now    time.Time
	rng    *rand.Rand
	store  *memstore.Store
	sent   store.Revision // all commits up to here were given to the links
	timers timers
	actors []*actor
	hot    []*actor // those to which something happened since they last came to rest
	nodes  []*node
	byName map[string]*node
	pushes map[string]int // how often each tag was moved
	living bool           // faults that come by chance come now
	// managers hold the store; leader is the newest that was chosen, dead or alive.
	managers []*member
	leader   *leader
	voting   bool
	check    *checker
	hash     hash.Hash64
	err      error
}

// start is the time at which every world begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clusterID is the cluster that all nodes belong to.
const clusterID = "sim"

// New makes a cluster with a leader and its nodes, nothing deployed.
func New(c Config) *World {
	w := &World{Config: c, now: start, rng: rand.New(rand.NewPCG(c.Seed, 1)), hash: fnv.New64a(),
		byName: map[string]*node{}, pushes: map[string]int{}}
	cluster := meta.New[v1.Cluster](v1.ClusterName)
	cluster.Spec.ID = clusterID
	cluster.SetDefaults()
	w.store, w.sent = memstore.New(cluster), 1
	w.check = newChecker(w)
	w.newManagers()
	for i := range c.Nodes {
		w.newNode(fmt.Sprintf("n%03d", i+1))
	}
	if !c.Loose {
		w.timers.set(w.now.Add(auditEvery), w.check.audit)
	}
	return w
}

// Now is the world's time.
func (w *World) Now() time.Time { return w.now }

// History is a digest of all commits so far.
func (w *World) History() uint64 { return w.hash.Sum64() }

// Revision is that of the newest commit.
func (w *World) Revision() store.Revision { return w.sent }

// Err is the first invariant that was broken.
func (w *World) Err() error { return w.err }

func (w *World) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("seed %d, at %s: %s", w.Seed, w.now.Sub(start), fmt.Sprintf(format, args...))
	}
}

// User commits as a person does: through admission.
func (w *World) User(ops ...store.Op) error {
	w.check.writer = nil
	_, err := store.Admit(w.store, v1.Kinds, w.Now).Commit(context.Background(), ops...)
	for _, op := range ops {
		delete(w.check.authors, op.Key)
	}
	w.publish()
	return err
}

// Run lets time pass. Every few seconds the machines are looked at, too.
func (w *World) Run(d time.Duration) error {
	end := w.now.Add(d)
	for w.err == nil {
		w.settle()
		t, ok := w.timers.pop(end)
		if !ok {
			break
		}
		if t.at.After(w.now) {
			w.now = t.at
		}
		t.do()
	}
	w.now = end
	return w.err
}

// settle lets every actor do what it can do now, in an order drawn anew each time.
func (w *World) settle() {
	for w.err == nil && len(w.hot) > 0 {
		i := w.rng.IntN(len(w.hot))
		a := w.hot[i]
		if !a.gone && a.dueAt(w.now) {
			a.step()
			w.publish()
			continue
		}
		w.hot[i] = w.hot[len(w.hot)-1]
		w.hot = w.hot[:len(w.hot)-1]
		a.hot = false
		if !a.gone {
			a.arm()
		}
	}
}

// publish checks new commits and sends them on their way to all watchers.
func (w *World) publish() {
	batches, err := w.store.Since(w.sent)
	if err != nil {
		w.fail("simulated store: %v", err)
		return
	}
	for _, b := range batches {
		w.record(b)
		w.check.commit(b)
		for _, a := range w.actors {
			a.deliver(b)
		}
		w.sent = b.Revision
	}
}

func (w *World) record(b store.Batch) {
	fmt.Fprintf(w.hash, "%d@%d", b.Revision, w.now.UnixNano())
	for _, c := range b.Changes {
		fmt.Fprintf(w.hash, " %s", c.Key)
		if c.Object != nil && !w.Loose {
			data, err := meta.Encode(c.Object)
			if err != nil {
				w.fail("encode: %v", err)
			}
			w.hash.Write(data)
		}
	}
}

// chance is true in n of a thousand cases.
func (w *World) chance(n int) bool { return w.rng.IntN(1000) < n }

// upTo draws a time, in whole steps of 10 ms so that what happens at about the same time happens together.
func (w *World) upTo(d time.Duration) time.Duration {
	const grain = 10 * time.Millisecond
	if d < grain {
		return d
	}
	return time.Duration(w.rng.Int64N(int64(d/grain))+1) * grain
}
