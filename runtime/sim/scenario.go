package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Rough is a cluster whose size and faults follow from the seed.
func Rough(seed uint64) *World {
	n := 1 + int(seed%5)
	room := v1.ResourceList{CPU: 4000, Memory: 4 << 30 / meta.Bytes(n), Pids: 1 << 20} // memory is scarce now and then
	c := Config{Seed: seed, Nodes: n, Lag: 200 * time.Millisecond, StepTime: time.Second, LostAnswers: 20, StartFails: 50,
		Skew: 50 * time.Millisecond, Capacity: room, Managers: []int{1, 3, 3, 5}[seed/5%4], FollowerLag: time.Second, ManagerSkew: 50 * time.Millisecond}
	if seed%7 == 0 { // somebody's clock says 1970
		c.Skew, c.ManagerSkew = 24*time.Hour, 24*time.Hour
	}
	return New(c)
}

// Live lets people and faults do as they like for a time: services come, change, grow, shrink and go while links, agents,
// machines, leaders and processes fail.
func (w *World) Live(d time.Duration) error {
	w.living = true
	defer func() { w.living = false }()
	defer w.uncordonAll()
	for end := w.now.Add(d); w.now.Before(end); {
		if w.chance(500) {
			if w.quorate() {
				w.act()
			}
		} else {
			w.hurt()
		}
		if err := w.Run(w.upTo(4 * time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// act is one thing that a person does.
func (w *World) act() {
	name := fmt.Sprintf("s%d", w.rng.IntN(3))
	image := fmt.Sprintf("hello:%d", 1+w.rng.IntN(3))
	key := meta.Key{Kind: "Service", Name: name}
	old, err := w.store.Get(context.Background(), key)
	switch {
	case errors.Is(err, store.ErrNotFound) || w.chance(700):
		s := Service(name, image, w.rng.IntN(6), w.shape)
		if err == nil && w.chance(500) { // only scale
			s = old.Clone().(*v1.Service)
			if s.Spec.Replicas != nil {
				*s.Spec.Replicas = w.rng.IntN(6)
			}
		}
		w.must(store.Op{Verb: store.Put, Key: key, Object: s, Guard: store.Any})
	case w.chance(300):
		w.must(store.Op{Verb: store.Delete, Key: key, Guard: store.Any})
		if w.chance(500) { // and makes it anew at once
			w.must(store.Op{Verb: store.Put, Key: key, Object: Service(name, image, w.rng.IntN(6), w.shape), Guard: store.Any})
		}
	case w.chance(300):
		w.wish(w.rng.IntN(len(w.nodes)), []v1.NodeSpec{{}, {}, {Unschedulable: true}, gentle, gentle, force}[w.rng.IntN(6)])
	case w.chance(100):
		w.removeNode(w.rng.IntN(len(w.nodes)))
	case w.chance(500):
		w.pushes[image]++
	case w.chance(400):
		s := old.Clone().(*v1.Service) // asks for a restart
		s.Metadata.Annotations = map[string]string{v1.RestartedAt: w.now.Format(time.RFC3339Nano)}
		w.must(store.Op{Verb: store.Put, Key: key, Object: s, Guard: store.Any})
	default:
		w.deleteTask()
	}
}

func (w *World) shape(s *v1.Service) {
	if w.chance(200) {
		s.Spec.Mode, s.Spec.Replicas = v1.Global, nil
	}
	if l := w.rng.IntN(10); l < 3 && s.Spec.Mode != v1.Global {
		s.Spec.NodeLoss = []*v1.NodeLoss{{After: meta.Duration(20 * time.Second)}, {After: meta.Duration(5 * time.Minute)}, {Action: v1.Keep}}[l]
	}
	s.Spec.Resources.Reservations = v1.ResourceList{CPU: meta.CPU(100 * w.rng.IntN(3)), Memory: meta.Bytes(w.rng.IntN(3)) << 28}
	s.Spec.Restart.Policy = []v1.RestartPolicy{"", "", v1.RestartOnFailure, v1.RestartNever}[w.rng.IntN(4)]
	if s.SetDefaults(); w.chance(300) {
		s.Spec.Restart.MaxAttempts = 2
	}
}

// The ways to drain.
var (
	gentle = v1.NodeSpec{Unschedulable: true, Drain: v1.DrainGentle}
	force  = v1.NodeSpec{Unschedulable: true, Drain: v1.DrainForce}
)

// wish says what somebody wants of a node, if it has made itself known.
func (w *World) wish(node int, spec v1.NodeSpec) {
	o, err := w.store.Get(context.Background(), meta.Key{Kind: "Node", Name: w.nodes[node].name})
	if err != nil {
		return
	}
	n := o.Clone().(*v1.Node)
	n.Spec = spec
	w.must(store.Op{Verb: store.Put, Key: n.Key(), Object: n, Guard: store.Any})
}

// removeNode removes a node if people may.
func (w *World) removeNode(node int) {
	key := meta.Key{Kind: "Node", Name: w.nodes[node].name}
	err := w.User(store.Op{Verb: store.Delete, Key: key, Guard: store.Any})
	if err != nil && !errors.Is(err, store.ErrForbidden) && !errors.Is(err, store.ErrNotFound) {
		w.fail("user: %v", err)
	}
}

func (w *World) uncordonAll() {
	for i := range w.nodes {
		w.wish(i, v1.NodeSpec{})
	}
}

func (w *World) deleteTask() {
	if names := meta.SortedKeys(w.check.tasks); len(names) > 0 {
		key := meta.Key{Kind: "Task", Name: names[w.rng.IntN(len(names))]}
		w.must(store.Op{Verb: store.Delete, Key: key, Guard: store.Any})
	}
}

func (w *World) must(op store.Op) {
	if err := w.User(op); err != nil && !errors.Is(err, store.ErrNotFound) {
		w.fail("user: %v", err)
	}
}

// hurt is one fault.
func (w *World) hurt() {
	n := w.rng.IntN(len(w.nodes))
	switch w.rng.IntN(14) {
	case 0:
		w.Cut(n, w.upTo(30*time.Second))
	case 1, 2:
		w.hurtManager(w.rng.IntN(len(w.managers)))
	case 3:
		w.hurtManager(w.leads())
	case 4:
		w.NewLeader()
	case 5:
		w.RestartAgent(n, w.upTo(3*time.Second))
	case 6:
		w.Reboot(n, w.upTo(30*time.Second))
	case 7, 8:
		w.Crash(n, w.rng.IntN(2))
	case 9:
		w.LoseWatch(w.rng.IntN(len(w.actors)))
	case 10:
		w.EmptyView(n)
	case 11:
		w.Vanish(n)
	case 12, 13:
		w.disaster()
	}
}

// hurtManager is one fault of a manager.
func (w *World) hurtManager(i int) {
	switch w.rng.IntN(4) {
	case 0:
		w.SplitManager(i, w.upTo(3*time.Second))
	case 1:
		w.SplitManager(i, w.upTo(30*time.Second))
	case 2:
		w.PauseManager(i, w.upTo(30*time.Second))
	case 3:
		w.KillManager(i, w.upTo(20*time.Second))
	}
}

// disaster is much at once.
func (w *World) disaster() {
	switch w.rng.IntN(6) {
	case 0:
		for _, i := range w.some() {
			w.Cut(i, w.upTo(40*time.Second))
		}
	case 1:
		for _, i := range w.some() {
			w.Reboot(i, w.upTo(40*time.Second))
		}
	case 2, 3:
		for _, i := range w.some() {
			w.Flap(i, 10*time.Second, w.upTo(time.Minute))
		}
	case 4:
		w.ManagersLost(w.upTo(20 * time.Second))
	case 5:
		if w.chance(200) {
			w.ManagersLost(2 * time.Minute)
		}
	}
}
