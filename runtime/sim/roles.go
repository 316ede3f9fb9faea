package sim

import (
	"fmt"
	"hash/fnv"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/agent/images"
	agentnode "warren.io/warren/controllers/agent/node"
	"warren.io/warren/controllers/agent/tasks"
	"warren.io/warren/controllers/events"
	"warren.io/warren/controllers/nodes"
	"warren.io/warren/controllers/reconciler"
	"warren.io/warren/controllers/scheduler"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host/fake"
)

// leader runs the leader's controllers at a manager.
type leader struct {
	actor
	manager *member
	beats   *nodes.Beats
	began   time.Time // when it came to lead, or woke from so long a sleep that it listens anew
	slept   time.Time // when it last fell asleep
	woke    time.Time // and when it woke then
}

// newLeader makes a manager lead; one that did so before is fenced but goes on for as long as it does not know.
func (w *World) newLeader(m *member) {
	l := &leader{manager: m, began: w.now}
	l.actor = actor{w: w, name: "leader", skew: m.skew}
	l.beats = nodes.NewBeats(l.clock(), func(n string) {
		l.engine.Poke("nodes", n)
		l.engine.Kick()
		l.touch()
	})
	l.make = func() []control.Controller {
		return []control.Controller{reconciler.Controller{}, scheduler.Controller{}, nodes.Controller{Liveness: l.beats},
			events.Controller{}, control.Collector{Kinds: v1.Kinds}}
	}
	l.boot()
	if old := w.leader; old != nil {
		old.fence()
	}
	w.leader, m.reign, m.follows = l, l, l
	w.actors = append(w.actors, &l.actor)
	for _, other := range w.managers {
		if other != m && other.attached() {
			w.learn(other)
		}
	}
	l.own()
}

// fence refuses what a deposed leader may still try to commit. It ends when that happens, or when it hears of its successor.
func (l *leader) fence() {
	l.fenced, l.name = true, "deposed leader"
	l.lost = func() {
		if l.w.remove(&l.actor); l.manager.reign == l {
			l.manager.reign = nil
		}
	}
	if l.w.chance(500) {
		l.w.timers.set(l.w.now.Add(l.w.upTo(3*time.Second)), func() {
			if l.manager.attached() && !l.gone {
				l.lost()
			}
		})
	}
}

func (l *leader) clock() time.Time { return l.w.now.Add(l.skew) }

// relink takes the link to the store away from a leader that has no majority, and stops it with its manager.
func (l *leader) relink() {
	l.asleep = l.manager.paused
	switch ok := l.manager.attached() || l.manager.paused; {
	case ok && l.cut:
		l.cut = false
		l.relist()
	case !ok && !l.cut:
		l.cutOff()
	}
}

func (l *leader) wake() {
	l.asleep, l.woke = false, l.w.now
	if l.w.now.Sub(l.slept) >= time.Duration(l.w.check.times.SuspectAfter) {
		l.began = l.w.now
	}
	l.touch()
}

// hear takes in a sign of life.
func (l *leader) hear(node string) {
	if l.gone || l.asleep {
		return
	}
	l.beats.Beat(node, l.clock())
	if !l.fenced {
		l.w.check.heard[node] = l.w.now
	}
}

// own is the sign of life of the leader's own machine, for as long as it leads.
func (l *leader) own() {
	if l.gone {
		return
	}
	if !l.asleep {
		l.beats.Beat("the leader's own", l.clock())
	}
	l.w.timers.set(l.w.now.Add(min(time.Second, time.Duration(l.w.check.times.Heartbeat))), l.own)
}

func (w *World) remove(a *actor) {
	a.gone = true
	for i, x := range w.actors {
		if x == a {
			w.actors = append(w.actors[:i:i], w.actors[i+1:]...)
			return
		}
	}
}

// node is one machine with its agent.
type node struct {
	actor
	machine *fake.Machine
	wakes   time.Time
	// excused counts, by task, the starts that faults account for.
	excused map[string]int
	off     bool
	severed int           // how many faults cut its link
	via     *member       // through which it works
	moving  bool          // to another one
	linked  time.Time     // since when it sees the store and its own machine
	pace    time.Duration // between two signs of life
}

func (w *World) newNode(name string) {
	n := &node{excused: map[string]int{}}
	n.actor = actor{w: w, name: name, visible: tasks.Visible(name)}
	n.skew = w.someSkew(w.Skew)
	n.use(w.managers[w.rng.IntN(len(w.managers))])
	n.machine = fake.New(func() time.Time { return w.now.Add(n.skew) })
	n.machine.Took = func() time.Duration { return w.upTo(w.StepTime) }
	n.machine.Poke = n.poked
	n.machine.Resolve = w.resolve
	n.machine.Fails = func() bool { return w.living && w.chance(w.StartFails) }
	if w.Capacity != (v1.ResourceList{}) {
		n.machine.About.Capacity = w.Capacity
	}
	n.make = func() []control.Controller {
		return []control.Controller{
			tasks.Controller{Node: name, Cluster: clusterID, Host: &waking{n.machine, n}},
			agentnode.Controller{Node: name, Cluster: clusterID, Machine: n.machine, Network: n.machine, Pace: n.setPace, Role: v1.RoleWorker, Wish: func(v1.Role) {}},
			images.Controller{Cluster: clusterID, Host: n.machine},
		}
	}
	n.boot()
	w.check.heard[name] = w.now
	w.nodes, w.byName[name] = append(w.nodes, n), n
	w.actors = append(w.actors, &n.actor)
	n.setPace(v1.DefaultHeartbeat)
}

func (n *node) poked() {
	n.engine.Poke(tasks.Name, "")
	n.engine.Kick()
	n.touch()
	n.wake()
}

// wake sets a timer for the machine's next step.
func (n *node) wake() {
	at, ok := n.machine.Next()
	if at = at.Add(-n.skew); ok && !at.Equal(n.wakes) {
		n.wakes = at
		n.w.timers.set(at, func() {
			n.wakes = time.Time{}
			n.machine.Tick()
			n.wake()
		})
	}
}

// setPace begins to beat at another pace, at once.
func (n *node) setPace(d time.Duration) {
	if n.pace != d {
		n.pace = d
		n.w.timers.set(n.w.now, func() { n.beat(d) })
	}
}

// beat is the agent's heartbeat, until its pace changes. It goes to the manager that the node works through.
func (n *node) beat(pace time.Duration) {
	if n.pace != pace {
		return
	}
	if n.severed == 0 && !n.off {
		n.via.pass(n.name)
	}
	n.w.timers.set(n.w.now.Add(pace), func() { n.beat(pace) })
}

// use makes a node work through a manager.
func (n *node) use(m *member) { n.via, n.lag = m, m.lag }

// relink follows what happened to the node's link or to its manager. If it is the manager, it tries others until one answers
// that has a majority.
func (n *node) relink() {
	switch ok := !n.off && n.severed == 0 && n.via.attached(); {
	case ok && n.cut:
		n.cut, n.linked = false, n.w.now
		n.relist()         // the watch is gone
		n.via.pass(n.name) // a new connection begins with a sign of life
	case !ok && !n.cut:
		n.cutOff()
	}
	if n.moving || n.via.attached() {
		return
	}
	n.moving = true
	n.w.timers.set(n.w.now.Add(n.w.upTo(noticing)), func() {
		n.moving = false
		if !n.via.attached() {
			n.use(n.w.managers[n.w.rng.IntN(len(n.w.managers))])
		}
		n.relink()
	})
}

// resolve asks the registry: a tag that was moved means another image.
func (w *World) resolve(image string) string {
	return fmt.Sprintf("sha256:%064x", fnv64(fmt.Sprintf("%s %d", image, w.pushes[image])))
}

func fnv64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// Service makes a service for tests.
func Service(name, image string, replicas int, change func(*v1.Service)) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image, s.Spec.Replicas = image, &replicas
	if change != nil {
		change(s)
	}
	return s
}
