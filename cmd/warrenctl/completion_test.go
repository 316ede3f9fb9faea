package warrenctl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"warren.io/warren/runtime/server"
)

// asMain tells the test's own program to be warrenctl, for shells that call it.
const asMain = "WARRENCTL_TEST_MAIN"

func TestMain(m *testing.M) {
	fast = soon // machines that run tests are busy
	if os.Getenv(asMain) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// bash itself completes by what `completion bash` prints.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	n := newLive(t, nil)
	n.put(svc("web", 1, 1, 1, 1), task("web-1-1", "web", true), task("web-1-2", "web", true), task("other-1-1", "other", true))
	dir := t.TempDir()
	self := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asMain, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "warrenctl"), []byte(self), 0o755); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"get tasks web":     "web-1-1 web-1-2",
		"describe service/": "service/web",
		"appl":              "apply",
		"get nothing a":     "",
	} {
		script := `source <(warrenctl completion bash); COMP_WORDS=(warrenctl ` + line + `); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _warrenctl; echo "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, "--norc", "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "WARREN_SERVER=unix://"+filepath.Join(n.dir, server.SocketName))
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", line, got, err, want)
		}
	}
}

// Where the other shells are there, they accept what they are given.
func TestOtherShellsRead(t *testing.T) {
	for _, shell := range []string{"zsh", "fish"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("there is no %s", shell)
			continue
		}
		if out, err := exec.Command(path, "-n", "completion/"+shell).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
}
