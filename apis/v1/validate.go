package v1

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Bounds of a template.
const (
	MaxReplicas  = 10000
	MaxArgs      = 1000
	MinMemory    = meta.Bytes(4 << 20) // below that runc itself does not start
	MinCPU       = meta.CPU(10)        // the kernel's smallest CFS quota is 1 ms in 100 ms
	MaxStopGrace = meta.Duration(time.Hour)
)

var (
	imageForm    = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9._]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$`)
	userForm     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
	hostnameForm = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$`)
)

// Signals are the names that stopSignal may have.
var Signals = []string{"SIGABRT", "SIGALRM", "SIGCONT", "SIGHUP", "SIGINT", "SIGKILL", "SIGPWR", "SIGQUIT", "SIGTERM",
	"SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGRTMIN+3"}

func duration(d time.Duration) *meta.Duration {
	m := meta.Duration(d)
	return &m
}

// Default fills in what holds where the user said nothing.
func (t *TaskTemplate) Default() {
	if t.Restart.Policy == "" {
		t.Restart.Policy = RestartAlways
	}
	if t.Restart.Delay == nil {
		t.Restart.Delay = duration(time.Second)
	}
	if t.Restart.MaxDelay == nil {
		t.Restart.MaxDelay = duration(max(time.Minute, time.Duration(*t.Restart.Delay)))
	}
	if t.Restart.Window == nil {
		t.Restart.Window = duration(10 * time.Second)
	}
	if t.StopGracePeriod == nil {
		t.StopGracePeriod = duration(10 * time.Second)
	}
}

// Validate checks everything that can be known without a machine.
func (t *TaskTemplate) Validate(p *meta.Problems, at string) {
	switch {
	case t.Image == "":
		p.Add(at+".image", "is required, e.g. registry.example.org/web:1.2")
	case len(t.Image) > 400 || !imageForm.MatchString(t.Image):
		p.Add(at+".image", "%q is no image reference; write [host[:port]/]name[:tag][@sha256:digest] in lower case", t.Image)
	}
	checkWords(p, at+".command", t.Command)
	checkWords(p, at+".args", t.Args)
	t.Env.validate(p, at+".env")
	if t.WorkingDir != "" && (!path.IsAbs(t.WorkingDir) || strings.ContainsRune(t.WorkingDir, 0)) {
		p.Add(at+".workingDir", "%q is not absolute; it begins with '/'", t.WorkingDir)
	}
	if t.User != "" && !userForm.MatchString(t.User) {
		p.Add(at+".user", "%q is no user; write name, uid, name:group or uid:gid", t.User)
	}
	if t.Hostname != "" && (len(t.Hostname) > 63 || !hostnameForm.MatchString(t.Hostname)) {
		p.Add(at+".hostname", "%q is no host name; use up to 63 letters, digits, '-' and '.'", t.Hostname)
	}
	t.Resources.validate(p, at+".resources")
	t.Restart.validate(p, at+".restart")
	if t.StopSignal != "" && !contains(Signals, t.StopSignal) {
		p.Add(at+".stopSignal", "%s", oneOf(t.StopSignal, Signals))
	}
	if g := t.StopGracePeriod; g != nil && *g > MaxStopGrace {
		p.Add(at+".stopGracePeriod", "%s is too long; at most %s is allowed", *g, MaxStopGrace)
	}
	meta.CheckLabels(p, at+".labels", t.Labels)
}

func checkWords(p *meta.Problems, at string, words []string) {
	if len(words) > MaxArgs {
		p.Add(at, "has %d entries; at most %d are allowed", len(words), MaxArgs)
	}
	for i, w := range words {
		if strings.ContainsRune(w, 0) {
			p.Add(fmt.Sprintf("%s[%d]", at, i), "contains a zero byte")
		}
	}
	if strings.HasSuffix(at, "command") && len(words) > 0 && words[0] == "" {
		p.Add(at+"[0]", "is empty; it names the program to run")
	}
}

func (r *Resources) validate(p *meta.Problems, at string) {
	l, v := r.Limits, r.Reservations
	if l.CPU != 0 && l.CPU < MinCPU {
		p.Add(at+".limits.cpu", "%s is too small; at least %s is needed", l.CPU, MinCPU)
	}
	if l.Memory != 0 && l.Memory < MinMemory {
		p.Add(at+".limits.memory", "%s is too small; at least %s is needed", l.Memory, MinMemory)
	}
	if l.Pids < 0 || v.Pids < 0 {
		p.Add(at, "pids is negative; write a number of processes from 1, or leave it out")
	}
	if l.CPU != 0 && v.CPU > l.CPU {
		p.Add(at+".reservations.cpu", "%s is above the limit of %s", v.CPU, l.CPU)
	}
	if l.Memory != 0 && v.Memory > l.Memory {
		p.Add(at+".reservations.memory", "%s is above the limit of %s", v.Memory, l.Memory)
	}
	if l.Pids > 0 && v.Pids > l.Pids {
		p.Add(at+".reservations.pids", "%d is above the limit of %d", v.Pids, l.Pids)
	}
}

func (r *Restart) validate(p *meta.Problems, at string) {
	policies := []string{string(RestartAlways), string(RestartOnFailure), string(RestartNever)}
	if !contains(policies, string(r.Policy)) {
		p.Add(at+".policy", "%s", oneOf(string(r.Policy), policies))
	}
	if r.MaxAttempts < 0 {
		p.Add(at+".maxAttempts", "%d is negative; write 0 for any number, or how many failures in a row are allowed", r.MaxAttempts)
	}
	if r.Delay != nil && r.MaxDelay != nil && *r.Delay > *r.MaxDelay {
		p.Add(at+".maxDelay", "%s is below delay (%s)", *r.MaxDelay, *r.Delay)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func oneOf(got string, allowed []string) string {
	for _, a := range allowed {
		if strings.EqualFold(a, got) || a == "SIG"+strings.ToUpper(got) {
			return fmt.Sprintf("%q is not allowed; did you mean %q?", got, a)
		}
	}
	if s := meta.Suggest(got, allowed); s != "" {
		return fmt.Sprintf("%q is not allowed; did you mean %q?", got, s)
	}
	return fmt.Sprintf("%q is not allowed; use one of %s", got, strings.Join(allowed, ", "))
}
