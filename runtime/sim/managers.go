package sim

import (
	"fmt"
	"time"
)

// member is one of those that hold the store. What a majority of them has agreed on is the world's store; each of them
// learns of it in its own time. One leads: it runs the leader's controllers.
type member struct {
	w    *World
	skew time.Duration // of its clock
	lag  time.Duration // by which commits come later to those who watch through it
	// off is dead, paused is stopped by a signal, apart is cut off from all other managers.
	off, paused bool
	apart       int
	reign       *leader // its controllers, if it leads or believes so
	follows     *leader // whom it believes to lead, and to whom it passes on the signs of life that come here
	down        int     // how many faults hold it off
}

// electing is the longest that managers take to see that the leader is gone and to choose another.
const electing = 1500 * time.Millisecond

// noticing is the longest that a node takes to see that its manager does not answer, or has no majority.
const noticing = 2 * time.Second

func (w *World) newManagers() {
	for i := range max(w.Managers, 1) {
		m := &member{w: w, skew: w.someSkew(w.ManagerSkew)}
		if i > 0 {
			m.lag = w.upTo(w.FollowerLag)
		}
		w.managers = append(w.managers, m)
	}
	w.newLeader(w.managers[0])
}

func (w *World) someSkew(most time.Duration) time.Duration {
	if most == 0 {
		return 0
	}
	return w.upTo(2*most) - most
}

// awake tells whether a manager answers at all.
func (m *member) awake() bool { return !m.off && !m.paused }

// attached tells whether it is one of a majority that can talk to each other.
func (m *member) attached() bool { return m.awake() && m.apart == 0 && m.w.quorate() }

func (w *World) quorate() bool { return 2*len(w.able()) > len(w.managers) }

func (w *World) able() (out []*member) {
	for _, m := range w.managers {
		if m.awake() && m.apart == 0 {
			out = append(out, m)
		}
	}
	return out
}

// turned follows up what happened to managers: the links of all who work through them, and who leads.
func (w *World) turned() {
	for _, m := range w.managers {
		if m.reign != nil {
			m.reign.relink()
		}
		if m.attached() && m.follows != w.leader {
			w.learn(m)
		}
	}
	for _, n := range w.nodes {
		n.relink()
	}
	if !w.voting && w.quorate() && !w.leader.reigns() {
		w.voting = true
		w.timers.set(w.now.Add(electing/2+w.upTo(electing/2)), w.vote)
	}
}

// reigns tells whether a leader can do its work.
func (l *leader) reigns() bool { return !l.gone && l.manager.attached() }

// vote chooses a leader among those who can talk to each other, if there is still none.
func (w *World) vote() {
	w.voting = false
	if able := w.able(); w.quorate() && !w.leader.reigns() {
		w.newLeader(able[w.rng.IntN(len(able))])
		w.turned()
	}
}

// learn has a manager hear who leads.
func (w *World) learn(m *member) {
	w.timers.set(w.now.Add(w.upTo(w.Lag)), func() {
		if m.attached() {
			m.follows = w.leader
		}
	})
}

// pass hands on a sign of life to whoever leads, as far as this manager knows.
func (m *member) pass(node string) {
	to := m.follows
	if to == nil || !m.awake() {
		return
	}
	m.w.timers.set(m.w.now.Add(m.w.upTo(m.w.Lag)), func() {
		if to.manager == m || m.attached() && to.manager.attached() {
			to.hear(node)
		}
	})
}

// PauseManager stops a manager as SIGSTOP does, for a time.
func (w *World) PauseManager(i int, d time.Duration) {
	m := w.managers[i]
	if !m.awake() {
		return
	}
	m.paused = true
	if w.leader.manager == m {
		w.leader.slept = w.now
	}
	w.turned()
	w.timers.set(w.now.Add(d), func() {
		m.paused = false
		if l := m.reign; l != nil {
			l.wake()
		}
		w.turned()
	})
}

// KillManager kills a manager and starts it again after a time.
func (w *World) KillManager(i int, d time.Duration) {
	m := w.managers[i]
	m.down++
	if m.off = true; m.reign != nil {
		w.remove(&m.reign.actor)
		m.reign = nil
	}
	m.follows = nil
	w.turned()
	w.timers.set(w.now.Add(d), func() {
		if m.down--; m.down > 0 {
			return
		}
		m.off = false
		w.turned()
	})
}

// SplitManager takes a manager's links to the others away for a time; nodes still reach it.
func (w *World) SplitManager(i int, d time.Duration) {
	m := w.managers[i]
	m.apart++
	w.turned()
	w.timers.set(w.now.Add(d), func() { m.apart--; w.turned() })
}

// leads is the number of the manager that leads.
func (w *World) leads() int {
	for i, m := range w.managers {
		if m == w.leader.manager {
			return i
		}
	}
	panic(fmt.Sprintf("sim: the leader is none of %d managers", len(w.managers)))
}

// ManagersLost kills all managers at once; they come back one after the other.
func (w *World) ManagersLost(d time.Duration) {
	for i := range w.managers {
		w.KillManager(i, d+w.upTo(5*time.Second))
	}
}
