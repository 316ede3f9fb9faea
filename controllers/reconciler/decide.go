package reconciler

import (
	"cmp"
	"fmt"
	"sort"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
)

// world is all that a decision depends on.
type world struct {
	svc   *v1.Service
	all   []*v1.Task // found by the service's name; some may belong to an earlier service of that name
	nodes []*v1.Node
	now   time.Time
	room  int // how many objects may be written
}

// plan is the next step. Creations and removals of one plan are committed together.
type plan struct {
	create, remove []*v1.Task
	status         v1.ServiceStatus
	after          time.Duration
	notes          []control.Note
	why            map[string]cause // by task: why it is made or removed
	words          []word           // how it stands with what is left as it is
}

// word is about a task, or about the service where task is nil.
type word struct {
	task *v1.Task
	text string
}

// slot is a stable place of a service: a number, or a node in a global service.
type slot struct {
	number int
	node   string
}

// decision is a plan in the making.
type decision struct {
	world
	plan
	hash  string
	image v1.ServiceImage
	state map[string]v1.NodeState
	named map[string]*v1.Node
	tasks map[slot]*v1.Task // the task that holds each slot
	// leaving are tasks on drained nodes that serve until the one that holds the slot does.
	leaving map[slot]*v1.Task
	pilot   bool // a task that shall find out the image's digest is there
}

// decide looks at what is there and takes the next step towards what is wanted.
func decide(w world) plan {
	d := &decision{world: w, hash: v1.TemplateHash(w.svc), state: map[string]v1.NodeState{}, named: map[string]*v1.Node{},
		tasks: map[slot]*v1.Task{}, leaving: map[slot]*v1.Task{}}
	d.why = map[string]cause{}
	for _, n := range w.nodes {
		d.state[n.Metadata.Name], d.named[n.Metadata.Name] = n.Status.State, n
	}
	d.status = w.svc.Status
	d.occupy()
	d.learnImage()
	wanted := d.wanted()
	d.removeUnwanted(wanted)
	for _, s := range wanted {
		d.fill(s)
	}
	d.update(wanted)
	d.report(wanted)
	return d.plan
}

// occupy finds who holds each slot, among the tasks that are not being deleted.
func (d *decision) occupy() {
	for _, t := range d.all {
		d.status.Count = max(d.status.Count, countOf(t))
	}
	var slots []slot
	held := map[slot][]*v1.Task{}
	for _, t := range d.mine() {
		s := slotOf(t)
		if held[s] == nil {
			slots = append(slots, s)
		}
		held[s] = append(held[s], t)
	}
	for _, s := range slots {
		d.hold(s, held[s])
	}
}

func (d *decision) mine() []*v1.Task {
	var out []*v1.Task
	for _, t := range d.all {
		if t.Metadata.Owner.UID == d.svc.Metadata.UID && t.Metadata.Deleted.IsZero() {
			out = append(out, t)
		}
	}
	return out
}

// wanted lists the slots that shall be held, in order.
func (d *decision) wanted() []slot {
	var out []slot
	if d.svc.Spec.Mode == v1.Global {
		for _, n := range d.nodes {
			if !d.runsOn(n) {
				continue
			}
			out = append(out, slot{node: n.Metadata.Name})
		}
		return out
	}
	for i := range *d.svc.Spec.Replicas {
		out = append(out, slot{number: i + 1})
	}
	return out
}

// removeUnwanted scales down: the newest slots go first.
func (d *decision) removeUnwanted(wanted []slot) {
	keep := map[slot]bool{}
	for _, s := range wanted {
		keep[s] = true
	}
	var gone []slot
	for s := range d.tasks {
		if !keep[s] {
			gone = append(gone, s)
		}
	}
	sort.Slice(gone, func(i, j int) bool {
		if gone[i].number != gone[j].number {
			return gone[i].number > gone[j].number
		}
		return gone[i].node < gone[j].node
	})
	before := len(d.remove)
	for _, s := range gone {
		d.drop(d.tasks[s], d.surplus(s))
		if t := d.leaving[s]; t != nil {
			d.drop(t, d.surplus(s))
		}
		delete(d.tasks, s)
		delete(d.leaving, s)
	}
	d.tellScaledDown(d.remove[before:])
}

// fill makes a task for an empty slot, and replaces one that is lost or given up.
func (d *decision) fill(s slot) {
	t := d.tasks[s]
	switch {
	case t == nil:
		d.make(s, d.vacant(s))
	case d.lost(t) && s.node == "":
		d.lose(s, t)
	case t.Status.Phase == v1.TaskFailed || t.Status.Phase == v1.TaskRejected:
		d.retry(s, t)
	case d.leaves(t):
		d.move(s, t)
	}
}

// lost tasks were bound to a node that is down or gone. Nobody writes that: it follows from the node.
func (d *decision) lost(t *v1.Task) bool {
	state, known := d.state[t.Spec.Node]
	return t.Spec.Node != "" && (!known || state == v1.NodeDown)
}

// retry replaces a task that its agent gave up. The wait goes on where the agent's own backoff ended; a task that was sent to
// a machine its image is not made for is replaced at once, now that the scheduler can know better.
func (d *decision) retry(s slot, t *v1.Task) {
	if d.outdated(t) || t.Status.Phase == v1.TaskFailed && t.Spec.Restart.Policy == v1.RestartNever {
		return
	}
	wait := t.Status.FinishedAt.Add(time.Duration(*t.Spec.Restart.MaxDelay)).Sub(d.now)
	if t.Status.Reason == v1.ReasonPlatformMismatch && len(t.Spec.Platforms) == 0 && len(d.image.Platforms) > 0 {
		wait = 0
	}
	if wait > 2*time.Duration(*t.Spec.Restart.MaxDelay) {
		wait = 0 // an end so far in the future is another clock's, and says nothing
	}
	if wait > 0 {
		d.say(t, "it is replaced in %s", wait.Round(time.Second))
		d.wake(wait)
		return
	}
	d.note(true, "TaskReplaced", "%s was given up (%s) and is replaced", t.Metadata.Name, t.Status.Reason)
	d.replace(s, happened("%s was given up: %s", t.Metadata.Name, cmp.Or(t.Status.Message, t.Status.Reason)))
}

// settle is how long a new task must have run to count as started: what ends at once must not end the whole service.
const settle = time.Second

// update replaces tasks of older templates: one at a time, and the next one only when all new ones run. Tasks that do not run
// anyway go first.
func (d *decision) update(wanted []slot) {
	var old, broken []slot
	var wait time.Duration
	for _, s := range wanted {
		switch t := d.tasks[s]; {
		case t == nil:
			return
		case d.leaves(t): // it is replaced for that
		case d.outdated(t) && t.Status.Ready:
			old = append(old, s)
		case d.outdated(t):
			broken = append(broken, s)
		case !t.Status.Ready && t.Status.Phase != v1.TaskComplete && !d.unreachable(t):
			d.waitFor(t, wanted)
			return
		default:
			wait = max(wait, d.unsettled(t))
		}
	}
	next := append(broken, old...)
	switch {
	case len(next) == 0:
	case wait > 0:
		d.wake(wait)
	default:
		d.note(false, "Updating", "%s is replaced: the service changed", d.tasks[next[0]].Metadata.Name)
		d.replace(next[0], asked("the template of service %s changed", d.svc.Metadata.Name))
	}
}

// unsettled is how long a task has still to run until it counts as started. After failures that is the window of its restart
// policy, when its agent takes them for over. A start in the future is another clock's, and says nothing.
func (d *decision) unsettled(t *v1.Task) time.Duration {
	need := settle
	if t.Status.Failures > 0 {
		need = max(need, time.Duration(*t.Spec.Restart.Window))
	}
	if ran := d.now.Sub(t.Status.StartedAt); t.Status.Ready && ran >= 0 {
		return max(need-ran, 0)
	}
	return 0
}

// unreachable tasks of global services on silent nodes do not hold up an update of the others. Such a task may not even be
// bound yet: no node that is down gets one.
func (d *decision) unreachable(t *v1.Task) bool {
	return t.Spec.OnlyNode != "" && d.state[t.Spec.OnlyNode] == v1.NodeDown
}

func (d *decision) outdated(t *v1.Task) bool { return t.Spec.TemplateHash != d.hash || d.strays(t) }

// strays tells whether a task found out another image than its service: a first task on a node that fell silent before it
// said so, whose tag was moved before a second one was asked.
func (d *decision) strays(t *v1.Task) bool {
	found := t.Status.ImageDigest
	return t.Spec.ImageDigest == "" && found != "" && d.image.Digest != "" && found != d.image.Digest
}

// replace removes the task of a slot and makes its successor in the same commit.
func (d *decision) replace(s slot, why cause) {
	if old := d.tasks[s]; d.room >= 2 && d.make(s, why) {
		d.drop(old, why)
	}
}

func (d *decision) drop(t *v1.Task, why cause) {
	if d.room > 0 {
		d.room--
		d.remove = append(d.remove, t)
		d.why[t.Metadata.Name] = why
	}
}

// make creates the next task of a slot. Until the image's digest is known only one task is made, which finds it out.
func (d *decision) make(s slot, why cause) bool {
	if d.room == 0 || d.image.Digest == "" && d.pilot {
		d.say(nil, "the other tasks wait for the first one, which finds out what the image is")
		return false
	}
	d.room--
	d.pilot = true
	d.status.Count++
	t := d.newTask(s)
	d.create = append(d.create, t)
	d.tasks[s] = t
	d.why[t.Metadata.Name] = why
	return true
}

func (d *decision) wake(after time.Duration) {
	if d.after == 0 || after < d.after {
		d.after = after
	}
}

func (d *decision) note(warning bool, reason, format string, args ...any) {
	d.notes = append(d.notes, control.Note{Warning: warning, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// report counts what there will be after this plan and writes the conditions.
func (d *decision) report(wanted []slot) {
	st := &d.status
	st.ObservedGeneration, st.Image = d.svc.Metadata.Generation, d.image
	st.Desired, st.Tasks, st.Updated, st.Ready = len(wanted), len(d.tasks)+len(d.leaving), 0, 0
	for s, t := range d.tasks {
		if !d.outdated(t) {
			st.Updated++
		}
		if t.Status.Ready && !d.lost(t) || d.leaving[s] != nil {
			st.Ready++
		}
	}
	available := meta.Condition{Type: v1.ConditionAvailable, Status: meta.True, Reason: "AllReady", Message: "all tasks run"}
	if st.Ready < st.Desired {
		available.Status, available.Reason = meta.False, "NotReady"
		available.Message = fmt.Sprintf("%d of %d tasks run", st.Ready, st.Desired)
	}
	updated := meta.Condition{Type: v1.ConditionUpdated, Status: meta.True, Reason: "AllUpdated", Message: "all tasks have the current template"}
	if st.Updated < st.Desired {
		updated.Status, updated.Reason = meta.False, "Updating"
		updated.Message = fmt.Sprintf("%d of %d tasks have the current template", st.Updated, st.Desired)
	}
	st.Conditions = st.Conditions.With(available, d.now).With(updated, d.now)
}
