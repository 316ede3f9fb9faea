package tasks

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
)

// crashLoop is how many failures in a row are called so.
const crashLoop = 3

// decision is what shall become of one task.
type decision struct {
	want   host.Task
	wanted bool // false: nothing of it shall be here
	status v1.TaskStatus
	gone   bool // it is being deleted and nothing of it is left
	after  time.Duration
	event  control.Note
}

// decide looks at one task and at what the host sees of it, nil if nothing.
func decide(t *v1.Task, s *host.State, now time.Time) (d decision) {
	d.status = t.Status // its fields are replaced, never changed in place
	switch {
	case !t.Metadata.Deleted.IsZero():
		d.gone = s == nil
		d.status.Ready, d.status.Reason = false, v1.ReasonStopping
	case d.status.Phase.Terminal():
		d.keep(t, s)
	case s == nil:
		d.start(t, d.status.Restarts+1, d.status.Failures)
		d.forward(v1.TaskPreparing)
		d.status.Ready, d.status.PID = false, 0
	default:
		d.follow(t, s, now)
	}
	return d
}

// keep leaves what is left of an ended task where people can look at it; it never starts one again.
func (d *decision) keep(t *v1.Task, s *host.State) {
	d.status.Ready = false
	if s != nil {
		d.start(t, s.Attempt, s.Failures)
	}
}

// start wants an attempt to be there. What the image meant at the first attempt it means at all others.
func (d *decision) start(t *v1.Task, attempt, failures int) {
	d.wanted = true
	d.want = host.Task{
		Name: t.Metadata.Name, UID: t.Metadata.UID, Service: t.Spec.Service, Attempt: attempt, Failures: failures,
		Template: t.Spec.TaskTemplate, ImageDigest: cmp.Or(t.Spec.ImageDigest, d.status.ImageDigest), Labels: t.Metadata.Labels,
	}
}

var order = map[v1.TaskPhase]int{
	"": 0, v1.TaskPending: 0, v1.TaskPreparing: 1, v1.TaskStarting: 2, v1.TaskRunning: 3,
	v1.TaskComplete: 4, v1.TaskFailed: 4, v1.TaskRejected: 4,
}

// forward moves the phase, never back: restarts in place stay Running.
func (d *decision) forward(p v1.TaskPhase) {
	if order[p] > order[d.status.Phase] {
		d.status.Phase = p
	}
}

// follow takes over what the host sees and decides what comes next.
func (d *decision) follow(t *v1.Task, s *host.State, now time.Time) {
	d.start(t, s.Attempt, s.Failures)
	st := &d.status
	st.Restarts, st.Failures, st.Ready = s.Attempt-1, s.Failures, false
	st.Reason, st.Message = s.Reason, s.Message
	if s.ImageDigest != "" {
		st.ImageDigest, st.Platforms = s.ImageDigest, s.Platforms
	}
	if st.PID = 0; s.Address.IsValid() {
		st.Address = s.Address.String()
	}
	switch s.Phase {
	case host.Pulling:
		d.forward(v1.TaskPreparing)
		if s.Reason == "" {
			st.Message = "" // progress is for those who watch the host, not for the store
		}
	case host.Creating:
		d.forward(v1.TaskStarting)
	case host.Running:
		d.running(t, s, now)
	case host.Exited, host.Failed:
		d.ended(t, s, now)
	case host.Rejected:
		d.end(v1.TaskRejected, s.Reason, s.Message, now)
	case host.Stopping: // of an earlier wish; a new one is coming
	}
}

func (d *decision) running(t *v1.Task, s *host.State, now time.Time) {
	d.forward(v1.TaskRunning)
	st := &d.status
	st.Ready, st.PID, st.StartedAt, st.Reason, st.Message = true, s.PID, s.StartedAt, "", ""
	if s.Failures == 0 {
		return
	}
	window := time.Duration(*t.Spec.Restart.Window)
	if left := window - now.Sub(s.StartedAt); left > 0 {
		d.after = left
	} else {
		st.Failures = 0
	}
}

// ended decides whether and when a process that ended, or could not be started, is started again.
func (d *decision) ended(t *v1.Task, s *host.State, now time.Time) {
	st, r := &d.status, t.Spec.Restart
	st.StartedAt, st.FinishedAt = s.StartedAt, s.ExitedAt
	if s.Phase == host.Exited {
		code := s.ExitCode
		st.ExitCode, st.ExitReason = &code, s.Reason
	}
	lost := s.Reason == host.ReasonLost
	failed := s.Phase == host.Failed || s.ExitCode != 0 || s.OOMKilled || lost
	switch {
	case r.Policy == v1.RestartNever && failed:
		d.end(v1.TaskFailed, s.Reason, describe(s), s.ExitedAt)
		return
	case !failed && r.Policy != v1.RestartAlways:
		d.end(v1.TaskComplete, "Completed", "", s.ExitedAt)
		return
	}
	failures := row(r, s, lost)
	if r.MaxAttempts > 0 && failures > r.MaxAttempts {
		d.end(v1.TaskFailed, v1.ReasonMaxAttempts, fmt.Sprintf("failed %d times in a row; last: %s", failures, describe(s)), s.ExitedAt)
		return
	}
	d.again(t, s, failures, now)
}

// row counts the failures in a row: a process that ran for the window was healthy and begins a new row. A machine that went
// down under its tasks is not their failure.
func row(r v1.Restart, s *host.State, lost bool) int {
	switch ran := s.ExitedAt.Sub(s.StartedAt); {
	case lost:
		return s.Failures
	case s.Phase == host.Exited && !s.StartedAt.IsZero() && ran >= time.Duration(*r.Window):
		return 1
	}
	return s.Failures + 1
}

// again starts the next attempt when its time has come.
func (d *decision) again(t *v1.Task, s *host.State, failures int, now time.Time) {
	at := s.ExitedAt.Add(delay(t, s.Attempt, failures))
	if left := at.Sub(now); left > 0 {
		d.after = left
	} else {
		d.start(t, s.Attempt+1, failures)
	}
	st := &d.status
	st.Failures = failures
	st.Message = fmt.Sprintf("%s; started again at %s", describe(s), at.UTC().Round(time.Second).Format("15:04:05Z"))
	if failures < crashLoop {
		return
	}
	st.Reason = v1.ReasonCrashLoop
	if failures == crashLoop && t.Status.Failures < crashLoop { // told once, when it begins
		d.event = control.Note{Warning: true, Reason: v1.ReasonCrashLoop,
			Message: fmt.Sprintf("failed %d times in a row; last: %s", failures, describe(s))}
	}
}

// delay doubles with each failure in a row up to maxDelay. The jitter, up to a tenth less, keeps a service's tasks apart; it
// comes from the task's name, since a controller has no source of randomness.
func delay(t *v1.Task, attempt, failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	base, bound := time.Duration(*t.Spec.Restart.Delay), time.Duration(*t.Spec.Restart.MaxDelay)
	d := bound
	if shift := failures - 1; shift < 20 && base<<shift < bound {
		d = base << shift
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", t.Metadata.Name, attempt)
	return d - d/10*time.Duration(h.Sum32()%1000)/1000
}

func describe(s *host.State) string {
	switch {
	case s.Phase == host.Failed:
		return fmt.Sprintf("could not be started (%s: %s)", s.Reason, s.Message)
	case s.OOMKilled:
		return "killed for using more memory than its limit"
	case s.Reason == host.ReasonLost:
		return "lost when the machine or its shim went down"
	case s.ExitCode > 128 && s.ExitCode < 160:
		return fmt.Sprintf("killed by signal %d", s.ExitCode-128)
	}
	return fmt.Sprintf("exited with code %d", s.ExitCode)
}

// end makes the task terminal.
func (d *decision) end(p v1.TaskPhase, reason, message string, at time.Time) {
	d.forward(p)
	d.status.Reason, d.status.Message = reason, message
	d.status.FinishedAt = at
	if message == "" {
		message = reason
	}
	d.event = control.Note{Warning: p != v1.TaskComplete, Reason: string(p), Message: message}
}
