package sim

import (
	"time"

	"warren.io/warren/apis/meta"
)

// Cut takes the link between a node and the store away for some time. One lost packet is as good as many.
func (w *World) Cut(node int, d time.Duration) {
	n := w.nodes[node]
	n.cutOff()
	w.timers.set(w.now.Add(d), func() {
		n.cut = false
		n.relist() // the watch is gone
	})
}

// CutLeader takes the leader's link away; nothing else can happen to it until it is back.
func (w *World) CutLeader(d time.Duration) {
	l := w.leader
	l.cutOff()
	w.timers.set(w.now.Add(d), func() { l.cut = false; l.relist() })
}

// NewLeader lets another manager take over. The old one does not know until it tries to commit.
func (w *World) NewLeader() { w.newLeader() }

// RestartAgent kills warren on a node and starts it again after a time; the containers go on.
func (w *World) RestartAgent(node int, down time.Duration) { w.stop(w.nodes[node], down, false) }

// Reboot cuts a node's power for a time.
func (w *World) Reboot(node int, down time.Duration) { w.stop(w.nodes[node], down, true) }

func (w *World) stop(n *node, down time.Duration, power bool) {
	if n.off {
		return
	}
	n.off, n.cut = true, true
	if power {
		for _, name := range n.machine.Running() {
			n.excused[n.machine.Incarnation(name)]++
		}
		n.machine.Reboot()
	} else {
		n.machine.Restart()
	}
	n.boot()
	w.timers.set(w.now.Add(down), func() {
		n.off, n.cut = false, false
		n.boot()
		w.timers.set(w.now.Add(w.upTo(w.StepTime)), func() {
			if !n.off {
				n.machine.Looked()
			}
		})
	})
}

// Crash kills a random running process of a node.
func (w *World) Crash(node int, code int) {
	n := w.nodes[node]
	running := n.machine.Running()
	if len(running) == 0 || n.off {
		return
	}
	name := running[w.rng.IntN(len(running))]
	if n.machine.Crash(name, code) {
		n.excused[n.machine.Incarnation(name)]++
	}
}

// Vanish takes a random container away behind the agent's back, whatever its state.
func (w *World) Vanish(node int) {
	n := w.nodes[node]
	names := n.machine.Names()
	if len(names) == 0 || n.off {
		return
	}
	name := names[w.rng.IntN(len(names))]
	who := n.machine.Incarnation(name)
	if n.machine.Vanish(name) {
		n.excused[who]++
	}
}

// LoseWatch makes an actor list anew, as after a compaction.
func (w *World) LoseWatch(i int) { w.actors[i%len(w.actors)].relist() }

// EmptyView shows a node an empty store once, as a restored empty backup or a wrong cluster would.
func (w *World) EmptyView(node int) {
	n := w.nodes[node]
	if n.cut || n.off || !n.loaded {
		return
	}
	n.engine.Load([]meta.Object{}, w.sent)
	n.settleAlone()
	n.relist()
}

// settleAlone runs what this actor would do on what it sees now, before anything else happens.
func (n *node) settleAlone() {
	for range 100 {
		if at, ok := n.engine.Next(); !ok || at.After(n.w.now.Add(n.skew)) {
			return
		}
		n.actor.stepOnly()
	}
}
