//go:build e2e

package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
)

// seen is a task that runs, as the machine shows it.
type seen struct {
	*testing.T
	w     *world
	task  *v1.Task
	spec  specs.Spec // what runc was given
	hello hello      // what the process says of itself
}

// fieldCase is a service with fields and what has to be seen of them.
type fieldCase struct {
	fields string // the JSON paths that it proves
	spec   string // beside the image
	check  func(s *seen)
}

// dockerCaps are the capabilities that Docker gives by default.
var dockerCaps = strings.Fields("CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID " +
	"CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE")

var fieldCases = map[string]fieldCase{
	"defaults": {"image", "", checkDefaults},
	"words": {"command args", `
command: [/hello, -lines, "2"]
args: [-width, "30"]`, func(s *seen) {
		s.equal("arguments", s.spec.Process.Args, []string{"/hello", "-lines", "2", "-width", "30"})
		s.equal("arguments of the process", s.hello.Args, []string{"-lines", "2", "-width", "30"})
	}},
	"args": {"args", `args: ["-stop-slow", "1ms"]`, func(s *seen) {
		s.equal("arguments after the image's own program", s.spec.Process.Args, []string{"/hello", "-stop-slow", "1ms"})
	}},
	"env-map": {"env", `env: {GREETING: "hi there", NUMBER: 7, YES: true, PATH: /elsewhere}`, func(s *seen) {
		s.env("GREETING=hi there", "NUMBER=7", "YES=true", "PATH=/elsewhere", "WARREN_SERVICE=env-map", "WARREN_NODE=n1", "WARREN_TASK="+s.task.Metadata.Name)
	}},
	"env-list": {"env", `env: ["GREETING=a=b", {name: OTHER, value: "x y"}]`, func(s *seen) { s.env("GREETING=a=b", "OTHER=x y", "PATH=/") }},
	"dir": {"workingDir hostname", `
workingDir: /tmp
hostname: box`, func(s *seen) {
		s.equal("working directory", s.hello.Dir, "/tmp")
		s.equal("host name", s.hello.Hostname, "box")
		contains(s.T, "hosts", s.file("/etc/hosts"), s.task.Status.Address+"\tbox\n")
	}},
	"user-name":   {"user", `user: app`, func(s *seen) { s.user(1000, 1000) }},
	"user-number": {"user", `user: "1234"`, func(s *seen) { s.user(1234, 0) }},
	"user-group":  {"user", `user: "1234:4321"`, func(s *seen) { s.user(1234, 4321) }},
	"read-only": {"readOnlyRootFilesystem", `readOnlyRootFilesystem: true`, func(s *seen) {
		if mounts := s.proc("mounts"); !strings.Contains(mounts, "overlay / overlay ro,") {
			s.Errorf("the root file system can be written: %s", mounts)
		}
	}},
	"labels": {"labels", `labels: {team: night, tier: front}`, func(s *seen) {
		s.equal("label of the task", s.task.Metadata.Labels["team"], "night")
		s.equal("annotation of the container", s.spec.Annotations["tier"], "front")
		s.equal("found by label", strings.TrimSpace(s.w.ctl("get", "tasks", "-l", "team=night,tier=front", "-o", "name")), "task/"+s.task.Metadata.Name)
	}},
	"limits": {"resources.limits.cpu resources.limits.memory resources.limits.pids",
		`resources: {limits: {cpu: 250m, memory: 48Mi, pids: 40}}`, func(s *seen) {
			s.cgroup("cpu/cpu.cfs_quota_us", "25000", "cpu.max", "25000 100000")
			s.cgroup("memory/memory.limit_in_bytes", "50331648", "memory.max", "50331648")
			s.cgroup("pids/pids.max", "40", "pids.max", "40")
		}},
	"reservations": {"resources.reservations.cpu resources.reservations.memory",
		`resources: {reservations: {cpu: 125m, memory: 24Mi, pids: 10}}`, func(s *seen) {
			s.cgroup("cpu/cpu.shares", "128", "cpu.weight", "")
			s.cgroup("memory/memory.soft_limit_in_bytes", "25165824", "memory.low", "25165824")
			s.cgroup("pids/pids.max", "max", "pids.max", "max") // reserved is not limited
		}},
	"global": {"mode", "mode: Global", func(s *seen) {
		s.equal("node of the only task", s.task.Spec.OnlyNode, "n1")
		s.equal("slot", s.task.Spec.Slot, 0)
	}},
}

// provenElsewhere are fields that this package proves by what happens over time, and where.
var provenElsewhere = map[string]string{
	"replicas":                    "TestFieldsOfNumbers",
	"resources.reservations.pids": "TestFieldsOfNumbers",
	"restart.policy":              "TestRestartPolicies",
	"restart.delay":               "TestDelaysGrow",
	"restart.maxDelay":            "TestDelaysGrow",
	"restart.maxAttempts":         "TestGivenUpAndReplaced",
	"restart.window":              "TestHealthyEndsTheRow",
	"nodeLoss":                    "TestNodeLoss in runtime/sim: here the only node leads and is never down",
	"stopSignal":                  "TestStopSignalAndGracePeriod",
	"stopGracePeriod":             "TestStopSignalAndGracePeriod",
}

func TestFields(t *testing.T) {
	t.Parallel()
	w := running(t)
	var stack strings.Builder
	for name, c := range fieldCases {
		stack.WriteString(service(name, image+c.spec))
	}
	w.apply(stack.String(), "--wait")
	for name, c := range fieldCases {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			s := &seen{T: t, w: &w, task: w.one(name, "runs", ready)}
			s.hello = w.visit(s.task)
			s.readSpec()
			c.check(s)
		})
	}
}

// TestNoFieldIsForgotten fails when a field is added to Service that no test here reads back.
func TestNoFieldIsForgotten(t *testing.T) {
	proven := map[string]bool{}
	for _, c := range fieldCases {
		for _, f := range strings.Fields(c.fields) {
			proven[f] = true
		}
	}
	for f := range provenElsewhere {
		proven[f] = true
	}
	all := leaves(reflect.TypeFor[v1.ServiceSpec](), "")
	for _, f := range all {
		if !proven[f] {
			t.Errorf("no case proves spec.%s", f)
		}
	}
	for f := range proven {
		if !slices.Contains(all, f) {
			t.Errorf("a case is about spec.%s, which is no field", f)
		}
	}
}

// TestExampleHasEveryField: people copy from it.
func TestExampleHasEveryField(t *testing.T) {
	docs, err := manifest.Read(nil, "../../manifests/examples/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(docs[0].Object.SpecOf())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../manifests/examples/every-field.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	for _, path := range leaves(reflect.TypeFor[v1.ServiceSpec](), "") {
		var at any = spec
		parts := strings.Split(path, ".")
		for _, part := range parts {
			m, _ := at.(map[string]any)
			at = m[part]
		}
		if at == nil || !strings.Contains(string(text), parts[len(parts)-1]+":") {
			t.Errorf("the example does not set %s", path)
		}
	}
}

// leaves lists the JSON paths of a struct of ours, down to what is no struct of fields.
func leaves(t reflect.Type, at string) (all []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			all = append(all, leaves(f.Type, at)...)
		case f.Type.Kind() == reflect.Struct:
			all = append(all, leaves(f.Type, at+name+".")...)
		default:
			all = append(all, at+name)
		}
	}
	return all
}

func checkDefaults(s *seen) {
	name := s.task.Metadata.Name
	s.equal("arguments", s.spec.Process.Args, []string{"/hello"})
	s.equal("host name", s.hello.Hostname, name)
	s.equal("working directory", s.hello.Dir, "/")
	s.env("PATH=/", "HOSTNAME="+name)
	s.user(0, 0)
	status := s.proc("status")
	for field, want := range map[string]string{"Seccomp": "2", "NoNewPrivs": "1", "CapEff": "00000000a80425fb", "CapBnd": "00000000a80425fb",
		"CapInh": "0000000000000000", "CapAmb": "0000000000000000"} {
		contains(s.T, "status", status, field+":\t"+want+"\n")
	}
	s.equal("capabilities", sorted(s.spec.Process.Capabilities.Bounding), sorted(dockerCaps))
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"} {
		if !slices.Contains(s.spec.Linux.MaskedPaths, path) {
			s.Errorf("%s is not masked: %q", path, s.spec.Linux.MaskedPaths)
		}
	}
	if data, err := os.ReadFile(s.path("/proc/keys")); len(data) > 0 {
		s.Errorf("/proc/keys can be read: %q %v", data, err)
	}
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", s.task.Status.PID))
	node, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", s.w.cmd.Process.Pid))
	if own == node || own == "" {
		s.Errorf("network namespace %q, the node has %q", own, node)
	}
	s.resolver()
	contains(s.T, "hosts", s.file("/etc/hosts"), "127.0.0.1\tlocalhost\n", s.task.Status.Address+"\t"+name+"\n")
	s.equal("hostname file", s.file("/etc/hostname"), name+"\n")
	if err := os.WriteFile(s.path("/tmp/proof"), []byte("x"), 0o600); err != nil {
		s.Errorf("the root file system cannot be written: %v", err)
	}
	s.cgroup("pids/pids.max", "max", "pids.max", "max")
	s.yamlOfDefaults()
}

// resolver: a task asks the name servers of its machine, as far as they can be reached from it.
func (s *seen) resolver() {
	s.Helper()
	machine, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		s.Error(err)
	}
	text := s.file("/etc/resolv.conf")
	contains(s.T, "resolv.conf", text, "nameserver ")
	for line := range strings.Lines(string(machine)) {
		if strings.HasPrefix(line, "nameserver ") && !strings.Contains(line, " 127.") && !strings.Contains(line, "::1") {
			contains(s.T, "resolv.conf", text, strings.TrimSpace(line))
		}
	}
}

// yamlOfDefaults: what holds though nobody wrote it can be seen.
func (s *seen) yamlOfDefaults() {
	s.Helper()
	text := s.w.ctl("get", "service/defaults", "-o", "yaml")
	for _, line := range []string{"policy: Always", "delay: 1s", "maxDelay: 1m", "window: 10s", "replicas: 1", "mode: Replicated", "stopGracePeriod: 10s"} {
		if !strings.Contains(text, line) {
			s.Errorf("the default %q is not visible:\n%s", line, text)
		}
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func (s *seen) equal(what string, got, want any) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Errorf("%s is %#v, want %#v", what, got, want)
	}
}

func (s *seen) env(want ...string) {
	s.Helper()
	for _, e := range want {
		if !slices.Contains(s.hello.Env, e) {
			s.Errorf("environment lacks %q: %q", e, s.hello.Env)
		}
	}
}

func (s *seen) user(uid, gid int) {
	s.Helper()
	contains(s.T, "status", s.proc("status"), fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\nGid:\t%[2]d\t%[2]d\t%[2]d\t%[2]d\n", uid, gid))
}

func (s *seen) proc(name string) string {
	s.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.task.Status.PID, name))
	if err != nil {
		s.Error(err)
	}
	return string(data)
}

// path is where this process sees a file of the container.
func (s *seen) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.task.Status.PID, name)
}

func (s *seen) file(name string) string {
	s.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		s.Error(err)
	}
	return string(data)
}

// cgroup reads a file of the task's control group, in the form that this machine has. No wanted value means that any is right.
func (s *seen) cgroup(v1File, v1Want, v2File, v2Want string) {
	s.Helper()
	controller, file := filepath.Split(v1File)
	dir, want := filepath.Join("/sys/fs/cgroup", controller), v1Want
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		dir, file, want = "/sys/fs/cgroup", v2File, v2Want
	}
	data, err := os.ReadFile(filepath.Join(dir, "warren-"+s.w.host.Instance, s.task.Metadata.Name, file))
	if got := strings.TrimSpace(string(data)); err != nil || want != "" && got != want {
		s.Errorf("%s is %q, want %q (%v)", file, got, want, err)
	}
}

// readSpec reads what runc was given.
func (s *seen) readSpec() {
	s.Helper()
	paths, _ := filepath.Glob(filepath.Join(s.w.host.RunDir, "containerd/*/*/"+s.task.Metadata.Name+"/config.json"))
	more, _ := filepath.Glob(filepath.Join(s.w.host.RunDir, "containerd/*/*/*/"+s.task.Metadata.Name+"/config.json"))
	if paths = append(paths, more...); len(paths) != 1 {
		s.Fatalf("OCI specifications: %q", paths)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil || json.Unmarshal(data, &s.spec) != nil {
		s.Fatalf("read %s: %v", paths[0], err)
	}
}

func TestFieldsOfNumbers(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("three", image+"replicas: 3") +
		service("cpu", image+"resources: {reservations: {cpu: 5000}}") +
		service("memory", image+"resources: {reservations: {memory: 900Gi}}") +
		service("pids", image+"resources: {reservations: {pids: 100000000}}"))
	w.await("three tasks", func() bool { return w.service("three").Status.Ready == 3 })
	addresses := map[string]bool{}
	for i, task := range w.tasks("three") {
		if task.Spec.Slot != i+1 {
			t.Errorf("%s has slot %d", task.Metadata.Name, task.Spec.Slot)
		}
		addresses[task.Status.Address] = true
		w.alive(task)
	}
	if len(addresses) != 3 {
		t.Errorf("addresses %v", addresses)
	}
	for _, cause := range []string{"cpu", "memory", "pids"} {
		task := w.one(cause, "says why it is pending", func(t *v1.Task) bool { return len(t.Status.Pending) == 1 })
		if p := task.Status.Pending[0]; p.Cause != cause || p.Nodes != 1 || !strings.Contains(p.Message, "1 node lacks") {
			t.Errorf("%s is pending: %+v", task.Metadata.Name, p)
		}
	}
}
