package why

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/events"
	"warren.io/warren/controllers/reconciler"
	"warren.io/warren/controllers/scheduler"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// rig is a leader with the real controllers over a memory store; nodes and agents are the test's.
type rig struct {
	t      *testing.T
	mem    *memstore.Store
	people store.Store
	trace  *control.Trace
	now    time.Time
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, mem: memstore.New(), trace: &control.Trace{}, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	r.people = store.Admit(Recorder{Trace: r.trace, Event: events.Record, Now: clock}.Over(r.mem), v1.Kinds, clock)
	r.node("n1", v1.NodeReady)
	return r
}

func (r *rig) put(o meta.Object) {
	r.t.Helper()
	if _, err := r.mem.Commit(r.t.Context(), store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

func (r *rig) node(name string, state v1.NodeState) {
	n := meta.New[v1.Node](name)
	n.Status = v1.NodeStatus{OS: "linux", Arch: "amd64", State: state, Capacity: v1.ResourceList{CPU: 2000, Memory: 1 << 30, Pids: 1000}}
	n.Status.Conditions = n.Status.Conditions.With(meta.Condition{Type: v1.ConditionReady, Status: meta.False, Message: "not heard for 15s"}, r.now)
	r.put(n)
}

// settle runs the leader's controllers until nothing is due.
func (r *rig) settle() {
	r.t.Helper()
	e := &control.Engine{Name: "leader", Store: r.mem, Kinds: v1.Kinds, Log: logr.Discard(), Record: events.Record, Trace: r.trace, Now: func() time.Time { return r.now },
		Controllers: []control.Controller{reconciler.Controller{}, scheduler.Controller{}, control.Collector{Kinds: v1.Kinds}}}
	all, rev, err := r.mem.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	e.Load(all, rev)
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	watch := r.mem.Watch(ctx, rev)
	for {
		for _, now, _ := r.mem.List(ctx); e.Snapshot().Revision < now; {
			e.Apply(<-watch)
		}
		if ran, err := e.Step(ctx); err != nil {
			r.t.Fatal(err)
		} else if !ran {
			return
		}
	}
}

func (r *rig) as(author string, ops ...store.Op) {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	if _, err := r.people.Commit(store.As(r.t.Context(), author), ops...); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

func (r *rig) web(change func(*v1.Service)) store.Op {
	s := meta.New[v1.Service]("web")
	if o, err := r.mem.Get(r.t.Context(), s.Key()); err == nil {
		s = o.Clone().(*v1.Service)
	}
	s.Spec.Image = "hello:1@sha256:" + strings.Repeat("a", 64)
	change(s)
	return store.Op{Verb: store.Put, Key: s.Key(), Object: s, Guard: store.Any}
}

func replicas(n int) func(*v1.Service) {
	return func(s *v1.Service) { s.Spec.Replicas = &n }
}

// status lets the agent report.
func (r *rig) status(task string, change func(*v1.TaskStatus)) {
	r.t.Helper()
	o, err := r.mem.Get(r.t.Context(), taskKey(task))
	if err != nil {
		r.t.Fatal(err)
	}
	n := o.Clone().(*v1.Task)
	change(&n.Status)
	r.put(n)
}

func (r *rig) run(tasks ...string) {
	for _, name := range tasks {
		r.status(name, func(s *v1.TaskStatus) { s.Phase, s.Ready, s.PID, s.StartedAt = v1.TaskRunning, true, 7, r.now })
	}
	r.now = r.now.Add(time.Minute)
	r.settle()
}

// ask returns the answer about a thing as text.
func (r *rig) ask(kind, name string) string {
	r.t.Helper()
	all, rev, err := r.mem.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	v := View{Now: r.now, Decisions: r.trace.All(), Snapshot: control.NewSnapshot(v1.Kinds, all, rev), Words: map[meta.Key][]string{}}
	for _, c := range []struct {
		control.Controller
		item string
	}{{scheduler.Controller{}, ""}, {reconciler.Controller{}, "web"}} {
		words, err := control.Explain(r.t.Context(), c, v.Snapshot, r.now, c.item)
		if err != nil {
			r.t.Fatal(err)
		}
		for k, w := range words {
			v.Words[k] = append(v.Words[k], w...)
		}
	}
	a, ok := Of(v, meta.Key{Kind: kind, Name: name})
	if !ok {
		return "nothing is known"
	}
	return strings.Join(a.Lines(), "\n")
}

// first checks the first line of an answer, and that the rest has all of the words.
func (r *rig) says(kind, name, first string, rest ...string) {
	r.t.Helper()
	got := r.ask(kind, name)
	line, more, _ := strings.Cut(got, "\n")
	if line != first || slices.ContainsFunc(rest, func(w string) bool { return !strings.Contains(more, w) }) {
		r.t.Errorf("why %s %s:\n%s\nwant first\n%s\nand %q", kind, name, got, first, rest)
	}
}

func TestPending(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(func(s *v1.Service) { s.Spec.Resources.Reservations.Memory = 8 << 30 }))
	r.says("Task", "web-1-1", "task/web-1-1 is pending: no node fits: node n1 lacks memory: 8Gi is asked for, 1Gi of 1Gi is free",
		"it was made 0s ago because service web wants 1 replica, and slot 1 was empty; user root created service/web 0s ago (revision")
	r.says("Service", "web", "service/web has 0 of 1 task ready: web-1-1 is pending: no node fits: node n1 lacks memory: 8Gi is asked for, 1Gi of 1Gi is free")
	r.node("n2", v1.NodeDown)
	r.says("Task", "web-1-1", "task/web-1-1 is pending: no node fits: 1 node is not ready, 1 node lacks memory", "node n2 is down")
}

func TestScaledDown(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(replicas(2)))
	r.run("web-1-1", "web-2-2")
	r.says("Service", "web", "service/web is well: all of its 2 tasks run")
	r.as("key anna", r.web(replicas(1)))
	r.says("Task", "web-2-2", "task/web-2-2 was removed 0s ago because service web wants 1 replica; key anna changed service/web: spec.replicas 2 -> 1 0s ago (revision 10)",
		"reconciler decided it on revision 10 and committed it as revision 11")
	r.trace = &control.Trace{} // as after a restart
	r.says("Task", "web-2-2", "task/web-2-2 is gone; the last that is known, 0s ago: ScaledDown: removed web-2-2: service web wants 1 replica")
	r.says("Task", "web-9-9", "nothing is known")
}

func TestDeletedByHand(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(replicas(1)))
	r.run("web-1-1")
	r.as("user eve", store.Op{Verb: store.Delete, Key: taskKey("web-1-1"), Guard: store.Any})
	r.says("Task", "web-1-1", "task/web-1-1 was removed 0s ago because user eve deleted task/web-1-1")
	r.as("user eve", store.Op{Verb: store.Delete, Key: serviceKey("web"), Guard: store.Any})
	r.says("Service", "web", "service/web was removed 0s ago because user eve deleted service/web")
	r.says("Task", "web-1-2", "task/web-1-2 was removed 0s ago because user eve deleted service/web")
}

func TestUpdateWaits(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(replicas(2)))
	r.run("web-1-1", "web-2-2")
	r.as("user root", r.web(func(s *v1.Service) { s.Spec.Command = []string{"/nonsense"} }))
	code := 3
	r.status("web-1-3", func(s *v1.TaskStatus) {
		s.Phase, s.Failures, s.Reason, s.ExitCode, s.Message = v1.TaskRunning, 4, v1.ReasonCrashLoop, &code, "exited with code 3; started again at 12:00:05Z"
	})
	r.says("Service", "web", "service/web is not updated: the update waits for web-1-3, which does not run: it exited with code 3; started again at 12:00:05Z (4 failures in a row)",
		"1 task still to be replaced", "user root changed service/web: spec.command set to [\"/nonsense\"]", "try: warrenctl logs web-1-3")
	r.says("Task", "web-1-1", "task/web-1-1 was replaced by web-1-3 0s ago because the template of service web changed; "+
		"user root changed service/web: spec.command set to [\"/nonsense\"] 0s ago (revision 10)")
}

func TestNodeDown(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(replicas(1)))
	r.run("web-1-1")
	r.node("n1", v1.NodeDown)
	r.says("Task", "web-1-1", "task/web-1-1 was replaced by web-1-2 0s ago because node n1, where it ran, is down", "reconciler decided it")
	r.says("Node", "n1", "node/n1 is down: not heard for 15s")
}

func TestDone(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(replicas(2)))
	r.run("web-1-1", "web-2-2")
	code := 0
	r.status("web-1-1", func(s *v1.TaskStatus) {
		s.Phase, s.Ready, s.ExitCode, s.FinishedAt = v1.TaskComplete, false, &code, r.now
	})
	r.says("Service", "web", "service/web is well: of its 2 tasks 1 run and 1 have ended as they should")
	r.says("Task", "web-1-1", "task/web-1-1 has ended as it should, its process exited with code 0, 0s ago")
	r.status("web-2-2", func(s *v1.TaskStatus) { s.Phase, s.Ready, s.ExitCode = v1.TaskComplete, false, &code })
	r.says("Service", "web", "service/web has done its work: all of its 2 tasks have ended as they should")
}

// The values of variables are nobody's business, and long ones no sentence.
func TestFieldWords(t *testing.T) {
	from, to := meta.New[v1.Service]("web"), meta.New[v1.Service]("web")
	from.Spec.Image, to.Spec.Image = "a", "b"
	to.Spec.Env = v1.Env{{Name: "PASSWORD", Value: "secret"}}
	to.Spec.Hostname = strings.Repeat("x", 60)
	got := fieldsOf(from, to)
	if got != "spec.env[PASSWORD] changed, spec.hostname changed, spec.image a -> b" {
		t.Error(got)
	}
}

// Creation is no event: a thousand services are no thousand events. Changes and deletions are, one for each thing.
func TestEventsOfPeople(t *testing.T) {
	r := newRig(t)
	r.as("user root", r.web(replicas(1)))
	r.as("user root", r.web(replicas(2)))
	r.as("user root", r.web(replicas(2)))
	r.as("user root", store.Op{Verb: store.Delete, Key: serviceKey("web"), Guard: store.Any})
	all, _, _ := r.mem.List(t.Context())
	var told []string
	for _, o := range all {
		if e, ok := o.(*v1.Event); ok && e.Spec.Source == Source {
			told = append(told, e.Spec.Reason+" "+e.Status.Message)
		}
	}
	if want := []string{"Changed user root: spec.replicas 1 -> 2", "Deleted user root deleted it"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}

func TestTraceIsBounded(t *testing.T) {
	tr := &control.Trace{}
	for range 200 {
		tr.Add(control.Decision{Deeds: make([]control.Deed, 100)})
	}
	if n := len(tr.All()); n > 40 {
		t.Errorf("%d decisions of 100 deeds are kept", n)
	}
}
