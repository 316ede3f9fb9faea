//go:build e2e

package node

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what is printed now into the scripts")

// Each script in testdata has a host of its own, on which nothing runs yet. Commands beside those of testscript:
//
//	starts FLAGS               warren run with them, until it is ready; what it logs is in node.log
//	ends                       SIGTERM
//	warren|warrenctl ARGS      on the host, as root; fails unless the exit code is 0; with "! " anything but 0
//	exits CODE PROGRAM ARGS    the same with another exit code
//	nobody CODE PROGRAM ARGS   the same as a user without any rights
//	awaits TEXT PROGRAM ARGS   again and again until TEXT is in what is printed
//
// $DATA and $RUN are the node's folders, $HELLO is the archive of the demo image.
// In what is printed the two folders are DATA and RUN.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := &scripted{w: newWorld(t)}
			testscript.Run(t, testscript.Params{Files: []string{file}, Setup: s.setup, UpdateScripts: *update, Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"starts": s.starts, "ends": s.ends, "exits": s.exits, "nobody": s.nobody, "awaits": s.awaits,
				"warren": s.program(warren), "warrenctl": s.program(warrenctl),
			}})
		})
	}
}

// scripted is a host that a script works on.
type scripted struct{ w *world }

func (s *scripted) setup(env *testscript.Env) error {
	s.w.logs = filepath.Join(env.WorkDir, "node.log")
	env.Setenv("DATA", s.w.host.DataDir)
	env.Setenv("RUN", s.w.host.RunDir)
	env.Setenv("HELLO", helloTar)
	env.Setenv("WARREN_SERVER", "unix://"+s.w.socketPath())
	return nil
}

func (s *scripted) starts(ts *testscript.TestScript, _ bool, flags []string) {
	s.w.start(flags...)
	s.w.ready()
}

func (s *scripted) ends(*testscript.TestScript, bool, []string) { s.w.terminate() }

func (s *scripted) program(path string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if code := s.run(ts, 0, path, args); (code == 0) == neg {
			ts.Fatalf("exit code %d", code)
		}
	}
}

func (s *scripted) exits(ts *testscript.TestScript, _ bool, args []string) { s.codeOf(ts, 0, args) }

// nobody has no rights and belongs to no group of ours.
func (s *scripted) nobody(ts *testscript.TestScript, _ bool, args []string) {
	s.codeOf(ts, 65534, args)
}

func (s *scripted) codeOf(ts *testscript.TestScript, uid int, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if code := s.run(ts, uid, binary(ts, args[1]), args[2:]); code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func (s *scripted) awaits(ts *testscript.TestScript, _ bool, args []string) {
	var out bytes.Buffer
	for end := time.Now().Add(patience); ; time.Sleep(25 * time.Millisecond) {
		out.Reset()
		_, err := s.call(ts, 0, binary(ts, args[1]), args[2:], &out)
		ts.Check(err)
		if strings.Contains(out.String(), args[0]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %q:\n%s", args[0], &out)
		}
	}
}

func binary(ts *testscript.TestScript, name string) string {
	path, ok := map[string]string{"warren": warren, "warrenctl": warrenctl}[name]
	if !ok {
		ts.Fatalf("no program %s", name)
	}
	return path
}

func (s *scripted) run(ts *testscript.TestScript, uid int, program string, args []string) int {
	code, err := s.call(ts, uid, program, args, nil)
	ts.Check(err)
	return code
}

// print writes what is the same on all hosts.
func (s *scripted) print(to io.Writer, from *bytes.Buffer) {
	_, _ = strings.NewReplacer(s.w.host.DataDir, "DATA", s.w.host.RunDir, "RUN").WriteString(to, from.String())
}

// call runs a program on the host with the script's directory and environment.
func (s *scripted) call(ts *testscript.TestScript, uid int, program string, args []string, out *bytes.Buffer) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if uid != 0 {
		id := strconv.Itoa(uid)
		args = append([]string{"--reuid", id, "--regid", id, "--clear-groups", program}, args...)
		program = "setpriv"
	}
	cmd := s.w.host.Command(ctx, program, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "WARREN_SERVER="+ts.Getenv("WARREN_SERVER"), "WARREN_KEYS="+ts.Getenv("WARREN_KEYS"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if out != nil {
		out.Write(append(stdout.Bytes(), stderr.Bytes()...))
	} else {
		s.print(ts.Stdout(), &stdout)
		s.print(ts.Stderr(), &stderr)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
