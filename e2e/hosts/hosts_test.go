package hosts

import (
	"slices"
	"testing"
)

func TestNamesOfDirectories(t *testing.T) {
	h := newHost(&Bench{ID: "abcdef", dir: "/tmp/w-abcdef"}, "a")
	for text, want := range map[string]bool{
		"/tmp/w-abcdef/a/d":                    true,
		"--data-dir=/tmp/w-abcdef/a/d":         true,
		"unix:///tmp/w-abcdef/a/r/warren.sock": true,
		"/tmp/w-abcdef/a/d/bin/1234/shim":      true,
		"/tmp/w-abcdef/a/data":                 false,
		"/tmp/w-abcdef/b/d":                    false,
		"/tmp/w-abcdef":                        false,
		"":                                     false,
	} {
		if got := h.names(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		exe, cgroupTask, spaceTask string
		args                       []string
		kind                       Kind
		task                       string
	}{
		{exe: "/x/bin/warren", args: []string{"warren", "run", "--data-dir", "/d"}, kind: Warren},
		{exe: "/x/bin/warren", args: []string{"warrenctl", "get", "services"}, kind: Other},
		{exe: "/d/bin/1/containerd-shim-warren-v2", args: []string{"/d/bin/1/containerd-shim-warren-v2", "-namespace", "warren", "-id", "web-1-1"}, kind: Shim, task: "web-1-1"},
		{exe: "/d/bin/1/runc", args: []string{"/d/bin/1/runc", "--root", "/r/runc", "create", "web-1-1"}, kind: Runc},
		{exe: "/hello", args: []string{"/hello"}, cgroupTask: "web-1-1", spaceTask: "web-1-1", kind: Task, task: "web-1-1"},
		{exe: "/hello (deleted)", args: []string{"/hello"}, spaceTask: "web-1-1", kind: Task, task: "web-1-1"},
		{exe: "/bin/sleep", args: []string{"sleep", "9"}, kind: Other},
	} {
		p := Process{Args: c.args}
		p.classify(c.exe, c.cgroupTask, c.spaceTask)
		if p.Kind != c.kind || p.Task != c.task {
			t.Errorf("%q: got %s of %q, want %s of %q", c.args, p.Kind, p.Task, c.kind, c.task)
		}
	}
}

func TestProcessesOfNobody(t *testing.T) {
	h := newHost(&Bench{ID: "abcdef", dir: "/tmp/w-abcdef"}, "none")
	if got, err := h.Processes(); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if !slices.Contains([]int{8}, len(h.Instance)) {
		t.Errorf("instance %q", h.Instance)
	}
}
