package containerd

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

// Labels on a container. With the container's own fields they are all that a restarted node knows about a task.
const (
	labelPrefix    = "warren.io/"
	labelCluster   = labelPrefix + "cluster"
	labelUID       = labelPrefix + "uid"
	labelAttempt   = labelPrefix + "attempt"
	labelFailures  = labelPrefix + "failures"
	labelService   = labelPrefix + "service"
	labelDigest    = labelPrefix + "digest"
	labelPlatforms = labelPrefix + "platforms"
	labelAddress   = labelPrefix + "address"
	labelSignal    = labelPrefix + "stop-signal"
	labelGrace     = labelPrefix + "grace"
	labelResult    = labelPrefix + "result" // Exited or Failed; none while it runs
	labelReason    = labelPrefix + "reason"
	labelMessage   = labelPrefix + "message"
	labelExitCode  = labelPrefix + "exit-code"
	labelStarted   = labelPrefix + "started"
	labelExited    = labelPrefix + "exited"
	labelOOM       = labelPrefix + "oom-killed"
)

// maxMessage keeps a message well below containerd's limit of 4096 bytes a label.
const maxMessage = 1024

const defaultGrace = 10 * time.Second

// record is one attempt of a task, as it is kept in the labels of its container.
type record struct {
	cluster           string
	uid               int64
	attempt, failures int
	service           string
	digest            string
	platforms         []string
	address           netip.Addr
	signal            string
	grace             time.Duration

	result            host.Phase // Exited, Failed, Rejected or none; Rejected is never stored
	reason, message   string
	exitCode          int
	started, exitedAt time.Time
	oomKilled         bool
}

// newRecord describes the attempt that t asks for, before anything of it is known.
func newRecord(cluster string, t host.Task) *record {
	return &record{
		cluster: cluster, uid: t.UID, attempt: t.Attempt, failures: t.Failures, service: t.Service,
		signal: "SIGTERM", grace: grace(t.Template),
	}
}

func grace(t v1.TaskTemplate) time.Duration {
	if t.StopGracePeriod == nil {
		return defaultGrace
	}
	return time.Duration(*t.StopGracePeriod)
}

// labels writes r over the labels that the user asked for.
func (r *record) labels(user map[string]string) map[string]string {
	l := maps.Clone(user)
	if l == nil {
		l = map[string]string{}
	}
	maps.DeleteFunc(l, func(k, v string) bool { return strings.HasPrefix(k, labelPrefix) || len(k)+len(v) > 4096 })
	l[labelCluster] = r.cluster
	l[labelUID] = strconv.FormatInt(r.uid, 10)
	l[labelAttempt] = strconv.Itoa(r.attempt)
	l[labelFailures] = strconv.Itoa(r.failures)
	l[labelService] = r.service
	l[labelDigest] = r.digest
	l[labelPlatforms] = strings.Join(r.platforms, ",")
	l[labelSignal] = r.signal
	l[labelGrace] = r.grace.String()
	if r.address.IsValid() {
		l[labelAddress] = r.address.String()
	}
	if r.result != "" {
		maps.Copy(l, r.outcome())
	}
	return l
}

// outcome holds the labels that are added when the attempt is over.
func (r *record) outcome() map[string]string {
	l := map[string]string{
		labelResult:   string(r.result),
		labelReason:   r.reason,
		labelMessage:  strings.ToValidUTF8(r.message[:min(len(r.message), maxMessage)], ""),
		labelExitCode: strconv.Itoa(r.exitCode),
		labelOOM:      strconv.FormatBool(r.oomKilled),
	}
	if !r.started.IsZero() {
		l[labelStarted] = r.started.UTC().Format(time.RFC3339Nano)
	}
	if !r.exitedAt.IsZero() {
		l[labelExited] = r.exitedAt.UTC().Format(time.RFC3339Nano)
	}
	return l
}

// readRecord reads back what labels wrote.
func readRecord(l map[string]string) (*record, error) {
	r := &record{
		cluster: l[labelCluster], service: l[labelService], digest: l[labelDigest], signal: l[labelSignal],
		result: host.Phase(l[labelResult]), reason: l[labelReason], message: l[labelMessage],
		oomKilled: l[labelOOM] == "true",
	}
	if l[labelPlatforms] != "" {
		r.platforms = strings.Split(l[labelPlatforms], ",")
	}
	var err error
	parse := func(label string, into func(string) error) {
		if text := l[label]; text != "" && err == nil {
			if e := into(text); e != nil {
				err = fmt.Errorf("label %s: %w", label, e)
			}
		}
	}
	parse(labelUID, func(s string) (e error) { r.uid, e = strconv.ParseInt(s, 10, 64); return })
	parse(labelAttempt, func(s string) (e error) { r.attempt, e = strconv.Atoi(s); return })
	parse(labelFailures, func(s string) (e error) { r.failures, e = strconv.Atoi(s); return })
	parse(labelGrace, func(s string) (e error) { r.grace, e = time.ParseDuration(s); return })
	parse(labelAddress, func(s string) (e error) { r.address, e = netip.ParseAddr(s); return })
	parse(labelExitCode, func(s string) (e error) { r.exitCode, e = strconv.Atoi(s); return })
	parse(labelStarted, func(s string) (e error) { r.started, e = time.Parse(time.RFC3339Nano, s); return })
	parse(labelExited, func(s string) (e error) { r.exitedAt, e = time.Parse(time.RFC3339Nano, s); return })
	if err == nil && l[labelUID] == "" {
		err = fmt.Errorf("label %s is missing", labelUID)
	}
	return r, err
}

// state is what is told about r; phase where no result is known yet.
func (r *record) state(name string, phase host.Phase) host.State {
	if r.result != "" {
		phase = r.result
	}
	return host.State{
		Name: name, UID: r.uid, Attempt: r.attempt, Failures: r.failures, Phase: phase,
		Reason: r.reason, Message: r.message, ImageDigest: r.digest, Platforms: r.platforms, Address: r.address,
		StartedAt: r.started, ExitedAt: r.exitedAt, ExitCode: r.exitCode, OOMKilled: r.oomKilled,
	}
}
