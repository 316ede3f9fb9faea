package sim

import (
	"time"

	"warren.io/warren/apis/meta"
)

// Cut takes the link between a node and all managers away for some time. One lost packet is as good as many.
func (w *World) Cut(node int, d time.Duration) {
	n := w.nodes[node]
	n.severed++
	n.relink()
	w.timers.set(w.now.Add(d), func() { n.severed--; n.relink() })
}

// Flap cuts a node off and heals it again and again.
func (w *World) Flap(node int, each, d time.Duration) {
	if d <= 0 {
		return
	}
	up := w.upTo(each)
	w.Cut(node, up)
	pause := up + w.upTo(each)
	w.timers.set(w.now.Add(pause), func() { w.Flap(node, each, d-pause) })
}

// some draws a number of nodes, half of them or so.
func (w *World) some() (out []int) {
	for i := range w.nodes {
		if w.chance(500) {
			out = append(out, i)
		}
	}
	return out
}

// NewLeader lets another manager take over though nothing is wrong with the leader, which does not know until it tries to
// commit.
func (w *World) NewLeader() {
	if able := w.able(); w.quorate() {
		w.newLeader(able[w.rng.IntN(len(able))])
		w.turned()
	}
}

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
		n.off = false
		n.boot()
		n.relink()
		w.timers.set(w.now.Add(w.upTo(w.StepTime)), func() {
			if !n.off {
				n.machine.Looked()
				n.linked = w.now
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
