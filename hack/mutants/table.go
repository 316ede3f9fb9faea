package main

// mutant is one deliberate error: a text in a file that is replaced, and the tests of the simulation one of which must fail.
type mutant struct {
	name, file string
	old, new   string
	test       string // go test -run, without ^Test
}

const (
	seeds     = "Seeds$"
	update    = "UpdateOneAtATime$"
	partition = "Partition$"
	room      = "RoomComesFree$"
	ended     = "EndedStaysEnded$"
	drain     = "Drain$"
	removed   = "RemoveNode$"
	loss      = "NodeLoss$"
	lost      = "AllManagersLost$"
	sleeps    = "LeaderSleeps$"
	wild      = "WildClocks$"
	flapping  = "Flapping$"
	stale     = "StaleLeader$"
)

var mutants = []mutant{
	// the ground
	{"store: guards are ignored", "runtime/store/memstore/memstore.go", "if have != op.Guard {", "if have != op.Guard && false {", seeds},
	{"tx: changes are written without a guard", "runtime/control/commit.go", "return store.UpdateOp(w.new), true",
		"op := store.UpdateOp(w.new)\n\top.Guard = store.Any\n\treturn op, true", seeds},
	{"leader: goes on committing after another took over", "runtime/sim/actor.go", "case a.fenced:", "case a.fenced && a.w == nil:", seeds},
	{"leader: a stale one is not fenced", "runtime/sim/actor.go", "case a.fenced:", "case a.fenced && a.w == nil:", stale},

	// the engine
	{"engine: runs before it has seen its own commit", "runtime/control/engine.go", "p.own = rev\n", "p.own = 0 * rev\n", seeds},
	{"engine: does not end when it is deposed", "runtime/control/engine.go", "if errors.Is(err, store.ErrFenced) || ctx.Err() != nil {",
		"if ctx.Err() != nil {", seeds},
	{"engine: a lost watch is forgotten", "runtime/control/engine.go", "e.enqueueAll(i, before)\n\t\te.enqueueAll(i, e.snap)",
		"if before == nil {\n\t\t\te.enqueueAll(i, e.snap)\n\t\t}", seeds},
	{"engine: Result.After is forgotten", "runtime/control/engine.go", "if res.After > 0 {", "if res.After < 0 {", seeds},
	{"engine: a failed reconcile is not tried again", "runtime/control/engine.go", "e.queue.add(it, e.Now().Add(wait))", "_ = wait", seeds},
	{"collector: an owner of the same name will do", "runtime/control/collect.go", "return ok && o.Meta().UID == w.UID", "return ok && o != nil", seeds},
	{"snapshot: an index keeps what has moved", "runtime/control/snapshot.go", "s.index.Delete(e)", "_ = e", seeds},

	// the leader's controllers
	{"reconciler: forgets to count", "controllers/reconciler/decide.go", "d.status.Count++", "d.status.Count += 0", seeds},
	{"reconciler: no task is ever lost", "controllers/reconciler/decide.go", `return t.Spec.Node != "" && (!known || state == v1.NodeDown)`,
		`return t.Spec.Node != "" && !known && state == v1.NodeDown`, partition},
	{"reconciler: a replacement leaves the old task", "controllers/reconciler/decide.go", "d.make(s, why) {\n\t\td.drop(old, why)", "d.make(s, why) {\n\t\t_ = old", seeds},
	{"reconciler: updates two at once", "controllers/reconciler/decide.go", "\t\td.replace(next[0], ",
		"\t\td.replace(next[len(next)-1], happened(\"\"))\n\t\td.replace(next[0], ", update},
	{"reconciler: the image is not pinned", "controllers/reconciler/task.go", "ImageDigest: d.image.Digest,", "", seeds},
	{"reconciler: the image before is forgotten", "controllers/reconciler/task.go", "return append([]string{left}, rest...)", "return rest", seeds},
	{"reconciler: writes on every run", "controllers/reconciler/decide.go", "With(available, d.now).With(updated, d.now)",
		"With(available, d.now).With(updated, d.now)\n\tst.Conditions[0].TransitionTime = d.now", seeds},
	{"scheduler: ignores memory", "controllers/scheduler/choose.go", "return fits(asked(t).Memory, p.free.Memory)", "return true", seeds},
	{"scheduler: forgets what it just placed", "controllers/scheduler/scheduler.go", "best.add(t)", "_ = best.add", seeds},
	{"scheduler: does not hear that room came free", "controllers/scheduler/scheduler.go", `if new == nil || new.(*v1.Task).Spec.Node == "" {`,
		"if new == nil {\n\t\treturn nil\n\t}\n\tif new.(*v1.Task).Spec.Node == \"\" {", room},
	{"scheduler: a cordoned node gets tasks", "controllers/scheduler/choose.go", "return !p.node.Spec.Unschedulable ||", "return p.node != nil ||", drain},
	{"drain: a task goes before its successor is ready", "controllers/reconciler/drain.go", "return t.Status.Ready\n}", "return true\n}", drain},
	{"drain: all tasks of a service at once", "controllers/reconciler/drain.go", "case len(d.leaving) > 0:", "case len(d.leaving) < 0:", drain},
	{"drain: the old task stays for ever", "controllers/reconciler/drain.go", "|| d.started(newest):", "|| !d.started(newest) && d.room < 0:", drain},
	{"loss: a service that keeps its tasks is not asked", "controllers/reconciler/loss.go", "if loss.Action == v1.Keep {", "if loss.Action == v1.Keep && d.room < 0 {", loss},
	{"collector: what a removed node held stays", "runtime/control/collect.go", "return held(o) && home != (meta.Key{}) && !tx.there(home)", "return false && home == (meta.Key{})", removed},
	{"nodes: never down", "controllers/nodes/nodes.go", "return v1.NodeDown, 0", "return v1.NodeSuspect, 0", partition},
	{"nodes: a new leader gives no grace", "controllers/nodes/beats.go", "m = meeting{uid, now}", "m = meeting{uid, time.Time{}}", lost},
	{"nodes: a leader that stood still thinks all dead", "controllers/nodes/beats.go", "now.Sub(b.used) >= b.silence", "now.Sub(b.used) < 0", sleeps},
	{"nodes: a time to come stays in the condition", "controllers/nodes/nodes.go", "all[i].TransitionTime = now\n", "all[i].TransitionTime = all[i].TransitionTime.Add(0)\n", wild},
	{"reconciler: does not hear since when a node is down", "controllers/reconciler/reconciler.go", " && turned(a).Equal(turned(b))", "", wild},
	{"reconciler: replaces what is only suspected", "controllers/reconciler/decide.go", `t.Spec.Node != "" && (!known || state == v1.NodeDown)`,
		`t.Spec.Node != "" && (!known || state != v1.NodeReady)`, flapping},
	{"nodes: a new leader calls the silent ready", "controllers/nodes/nodes.go", "if !heard && worse(", "if heard && worse(", seeds},

	// the agent
	{"agent: starts healthy tasks again", "controllers/agent/tasks/decide.go", "\td.forward(v1.TaskRunning)\n",
		"\td.forward(v1.TaskRunning)\n\td.want.Attempt += s.PID\n", seeds},
	{"agent: obeys an empty store", "controllers/agent/tasks/tasks.go", "!ok || cluster.Spec.ID != c.Cluster {", "ok && cluster.Spec.ID != c.Cluster {", seeds},
	{"agent: the finalizer stays", "controllers/agent/tasks/tasks.go", "tx.Finalize(t, !d.gone)", "tx.Finalize(t, true)", seeds},
	{"agent: the finalizer goes too early", "controllers/agent/tasks/decide.go", "d.gone = s == nil", "d.gone = true", seeds},
	{"agent: ended tasks are started again", "controllers/agent/tasks/decide.go", "case d.status.Phase.Terminal():", "case d.status.Phase.Terminal() && s != nil:", ended},
	{"agent: the phase goes back", "controllers/agent/tasks/decide.go", "if order[p] > order[d.status.Phase] {", "if order[p] >= 0 {", seeds},
	{"agent: a restart takes what the tag means now", "controllers/agent/tasks/decide.go", "cmp.Or(t.Spec.ImageDigest, d.status.ImageDigest)",
		"cmp.Or(t.Spec.ImageDigest)", seeds},
	{"agent: does not hear of new images", "controllers/agent/images/images.go", " && slices.Equal(needs(old.(*v1.Service)), needs(new.(*v1.Service)))", "", seeds},
	{"agent: an exited process is called ready", "controllers/agent/tasks/decide.go", "s.Attempt-1, s.Failures, false", "s.Attempt-1, s.Failures, st.Ready", seeds},
}
