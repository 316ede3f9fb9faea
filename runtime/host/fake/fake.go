// Package fake is a machine in memory with a clock of its owner's: for the simulation and for tests of agents. It is single-
// threaded and does only what it is told to, in an order that depends on nothing but the calls.
package fake

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

// Digest is what every image resolves to.
const Digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// Machine is a host.Tasks, host.Network and host.Machine in memory.
type Machine struct {
	Now func() time.Time
	// Took is how long each step of a start and a stop takes; nil means no time.
	Took func() time.Duration
	// Resolve tells what an image means now; nil means Digest, always.
	Resolve func(image string) string
	// Fails tells whether the start under way fails; nil means never.
	Fails func() bool
	// Poke is called when an observation changed.
	Poke  func()
	About host.Facts

	// Starts counts the processes that were started, by Incarnation of the task.
	Starts map[string]int
	// Kept are the images that were last said to be needed here.
	Kept []string

	boxes map[string]*box
	names []string    // of the boxes, in order; nil when that has to be found out
	asked bool        // before anything was asked for nothing is removed
	want  []host.Task // by name
	ready bool
	addr  int
}

// box is one container.
type box struct {
	host.State
	next time.Time // when the present step ends; zero if none is under way
}

// New returns a machine that knows what runs on it already.
func New(now func() time.Time) *Machine {
	return &Machine{Now: now, Starts: map[string]int{}, boxes: map[string]*box{}, ready: true,
		About: host.Facts{OS: "linux", Arch: "amd64", Capacity: v1.ResourceList{CPU: 64000, Memory: 256 << 30, Pids: 1 << 20}}}
}

// Facts implements host.Machine.
func (m *Machine) Facts() host.Facts { return m.About }

// Configure implements host.Network.
func (m *Machine) Configure(context.Context, host.NetworkConfig) error { return nil }

// Attach implements host.Network.
func (m *Machine) Attach(_ context.Context, id string, want netip.Addr) (host.Attachment, error) {
	return host.Attachment{ID: id, Address: netip.PrefixFrom(want, 24)}, nil
}

// Detach implements host.Network.
func (m *Machine) Detach(context.Context, string) error { return nil }

// List implements host.Network.
func (m *Machine) List(context.Context) ([]string, error) { return nil, nil }

// Protect implements host.Keeper.
func (m *Machine) Protect(_ context.Context, images []string) error {
	m.Kept = images
	return nil
}

// Set implements host.Tasks.
func (m *Machine) Set(_ context.Context, want []host.Task) error {
	if !m.ready {
		return host.ErrNotReady
	}
	m.asked, m.want = true, want
	if !slices.IsSortedFunc(want, byName) {
		m.want = slices.SortedFunc(slices.Values(want), byName)
	}
	m.converge()
	return nil
}

// Observe implements host.Tasks.
func (m *Machine) Observe(context.Context) ([]host.State, error) {
	if !m.ready {
		return nil, host.ErrNotReady
	}
	out := make([]host.State, 0, len(m.boxes))
	for _, name := range m.Names() {
		out = append(out, m.boxes[name].State)
	}
	return out, nil
}

// Next is when a step under way ends.
func (m *Machine) Next() (time.Time, bool) {
	var first time.Time
	for _, b := range m.boxes {
		if !b.next.IsZero() && (first.IsZero() || b.next.Before(first)) {
			first = b.next
		}
	}
	return first, !first.IsZero()
}

// Tick ends the steps that are due.
func (m *Machine) Tick() {
	changed := false
	for _, name := range m.Names() {
		if b := m.boxes[name]; !b.next.IsZero() && !b.next.After(m.Now()) {
			m.advance(b)
			changed = true
		}
	}
	if changed {
		m.converge()
		m.poke()
	}
}

// Crash ends the process of a task with an exit code. It tells whether one was running.
func (m *Machine) Crash(name string, code int) bool {
	b, ok := m.boxes[name]
	if !ok || b.Phase != host.Running {
		return false
	}
	b.Phase, b.PID, b.ExitCode, b.ExitedAt, b.Reason = host.Exited, 0, code, m.Now(), host.ReasonExited
	m.poke()
	return true
}

// Vanish removes a container as somebody with other tools would. It tells whether its process was running.
func (m *Machine) Vanish(name string) bool {
	b, ok := m.boxes[name]
	if !ok {
		return false
	}
	m.drop(name)
	m.want = slices.DeleteFunc(slices.Clone(m.want), func(t host.Task) bool { return t.Name == name }) // until asked again
	m.poke()
	return b.Phase == host.Running
}

// Looked ends the first look at the machine after a restart: from now on the host knows what runs.
func (m *Machine) Looked() {
	m.ready = true
	m.poke()
}

// Restart is what the death of warren does: the wish is forgotten, what runs goes on, what was half-made is undone. Until
// Looked is called the host does not know what runs.
func (m *Machine) Restart() {
	m.asked, m.want, m.ready = false, nil, false
	for _, name := range m.Names() {
		switch b := m.boxes[name]; b.Phase {
		case host.Pulling, host.Creating:
			m.drop(name)
		case host.Stopping: // goes on once it is seen that nobody wants it
		}
	}
}

// Reboot is a power cut: every process is gone.
func (m *Machine) Reboot() {
	m.Restart()
	for _, b := range m.boxes {
		if b.Phase == host.Running {
			b.Phase, b.PID, b.ExitedAt, b.Reason, b.ExitCode = host.Exited, 0, m.Now(), host.ReasonLost, 255
		}
	}
}

// Running returns the names of the tasks whose process runs, in order.
func (m *Machine) Running() []string {
	var out []string
	for _, name := range m.Names() {
		if m.boxes[name].Phase == host.Running {
			out = append(out, name)
		}
	}
	return out
}

// Incarnation tells a task from an earlier one of the same name.
func (m *Machine) Incarnation(name string) string { return Incarnation(name, m.boxes[name].UID) }

// Incarnation is how Starts names a task.
func Incarnation(name string, uid int64) string { return name + "@" + strconv.FormatInt(uid, 10) }

// Look returns what there is of a task, whether or not the host has looked itself.
func (m *Machine) Look(name string) (host.State, bool) {
	if b, ok := m.boxes[name]; ok {
		return b.State, true
	}
	return host.State{}, false
}

// Names returns all containers in whatever state, in order.
func (m *Machine) Names() []string {
	if m.names == nil {
		m.names = meta.SortedKeys(m.boxes)
	}
	return m.names
}

func (m *Machine) drop(name string) {
	delete(m.boxes, name)
	m.names = nil
}

func (m *Machine) converge() {
	if !m.asked {
		return
	}
	rest := m.want
	for _, name := range m.Names() {
		for len(rest) > 0 && rest[0].Name < name { // both are sorted
			rest = rest[1:]
		}
		b := m.boxes[name]
		if (len(rest) == 0 || rest[0].Name != name || rest[0].UID != b.UID) && b.Phase != host.Stopping {
			b.Phase = host.Stopping
			m.step(b)
		}
	}
	for i := range m.want {
		w := &m.want[i]
		b, ok := m.boxes[w.Name]
		if !ok || b.UID == w.UID && b.Phase != host.Stopping && w.Attempt > b.Attempt {
			m.begin(w)
		}
	}
}

func byName(a, b host.Task) int { return strings.Compare(a.Name, b.Name) }

func (m *Machine) wish(name string) *host.Task {
	i, ok := slices.BinarySearchFunc(m.want, name, func(t host.Task, n string) int { return strings.Compare(t.Name, n) })
	if !ok {
		return nil
	}
	return &m.want[i]
}

func (m *Machine) begin(w *host.Task) {
	m.addr++
	b := &box{State: host.State{Name: w.Name, UID: w.UID, Attempt: w.Attempt, Failures: w.Failures, Phase: host.Pulling}}
	m.boxes[w.Name], m.names = b, nil
	m.step(b)
}

func (m *Machine) step(b *box) {
	b.next = m.Now()
	if m.Took != nil {
		b.next = b.next.Add(m.Took())
	}
}

// advance takes a container to its next phase.
func (m *Machine) advance(b *box) {
	b.next = time.Time{}
	switch b.Phase {
	case host.Pulling:
		b.Phase, b.ImageDigest, b.Platforms = host.Creating, m.resolve(b.Name), []string{"linux/amd64"}
		m.step(b)
	case host.Creating:
		if m.Fails != nil && m.Fails() {
			b.Phase, b.ExitedAt, b.Reason, b.Message = host.Failed, m.Now(), host.ReasonStartFailed, "as it was told to"
			return
		}
		b.Phase, b.StartedAt, b.PID = host.Running, m.Now(), 1
		b.Address = netip.AddrFrom4([4]byte{10, 0, byte(m.addr >> 8), byte(m.addr)})
		m.Starts[m.Incarnation(b.Name)]++
	case host.Stopping:
		m.drop(b.Name)
	}
}

// resolve finds the digest of a task's image: the pinned one, if there is one.
func (m *Machine) resolve(name string) string {
	w := m.wish(name)
	switch {
	case w != nil && w.ImageDigest != "":
		return w.ImageDigest
	case w != nil && m.Resolve != nil:
		return m.Resolve(w.Template.Image)
	}
	return Digest
}

func (m *Machine) poke() {
	if m.Poke != nil {
		m.Poke()
	}
}

// String is for failures of tests.
func (m *Machine) String() string {
	return fmt.Sprintf("%d containers, %d running", len(m.boxes), len(m.Running()))
}
