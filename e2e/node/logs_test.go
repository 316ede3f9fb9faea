//go:build e2e

package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// follower counts the lines of each task and holds their order against their numbers.
type follower struct {
	next  map[string]int
	wrong []string
}

// take reads "task | line N xxx" and tells whether it was the last line of its task.
func (f *follower) take(line string, last int) bool {
	task, text, _ := strings.Cut(line, " | ")
	n := 0
	if _, err := fmt.Sscanf(text, "line %d ", &n); err != nil {
		return false // what hello says when it serves
	}
	task = strings.TrimSpace(task)
	if n != f.next[task]+1 && len(f.wrong) < 10 {
		f.wrong = append(f.wrong, fmt.Sprintf("%s: line %d after %d", task, n, f.next[task]))
	}
	f.next[task] = n
	return n == last
}

// TestFloodOfLogs: 20 tasks write 10,000 lines a second each. The follower gets each line once and in order, over rotations,
// and so does who reads it all afterwards.
func TestFloodOfLogs(t *testing.T) {
	const tasks, lines, width = 20, 30_000, 370 // 12 MB a task with its times: one rotation at 10 MB
	w := running(t)
	w.apply(service("flood", image+fmt.Sprintf("replicas: %d\nargs: [-lines, \"%d\", -rate, \"10000\", -width, \"%d\"]", tasks, lines, width)))
	cmd := w.host.Command(context.Background(), warrenctl, "logs", "-f", "service/flood")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	f, ended := &follower{next: map[string]int{}}, 0
	var begin time.Time
	most := 0
	for in := bufio.NewScanner(out); ended < tasks && in.Scan(); {
		if begin.IsZero() {
			begin = time.Now()
		}
		if f.take(in.Text(), lines) {
			ended++
			most = max(most, resident(cmd.Process.Pid))
		}
	}
	took := time.Since(begin)
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	t.Logf("followed %d lines of %d bytes in %v: %.0f lines/s; warrenctl had at most %d KiB of its own memory, the node %d KiB",
		tasks*lines, width, took.Round(time.Millisecond), tasks*lines/took.Seconds(), most, w.resident())
	if ended != tasks || len(f.next) != tasks {
		t.Errorf("%d of %d tasks came to their end", ended, tasks)
	}
	if len(f.wrong) > 0 {
		t.Errorf("lost or out of order: %q", f.wrong)
	}
	if errs.Len() > 0 {
		t.Errorf("the follower said: %s", errs.String())
	}
	if most > 160<<10 {
		t.Errorf("warrenctl took %d KiB", most)
	}
	rotated, _ := filepath.Glob(filepath.Join(w.host.DataDir, "logs", "flood-*", "1.log"))
	if len(rotated) != tasks {
		t.Errorf("%d of %d logs were rotated", len(rotated), tasks)
	}
	begin = time.Now()
	whole := &follower{next: map[string]int{}}
	for line := range strings.Lines(w.ctl("logs", "flood-1-1", "flood-2-2")) {
		whole.take(line, lines)
	}
	if len(whole.wrong) > 0 || whole.next["flood-1-1"] != lines || whole.next["flood-2-2"] != lines {
		t.Errorf("read afterwards: %v %q", whole.next, whole.wrong)
	}
	t.Logf("two of them read and merged in %v", time.Since(begin).Round(time.Millisecond))
}

// resident memory of a process that is its own, in KiB.
func resident(pid int) (kib int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &kib)
	}
	return kib
}

// TestSlowFollower: who reads nothing for long costs the node no memory, and is told where lines are missing.
func TestSlowFollower(t *testing.T) {
	w := running(t)
	w.apply(service("quick", image+"args: [-lines, \"200000\", -width, \"400\"]")) // 88 MB, of which 30 are kept
	cmd := w.host.Command(context.Background(), warrenctl, "logs", "-f", "service/quick")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := w.resident()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	w.one("quick", "has written all", func(task *v1.Task) bool {
		return strings.Contains(w.ctl("logs", task.Metadata.Name, "--tail", "1"), "listening")
	})
	grown, own := w.resident()-before, resident(cmd.Process.Pid)
	t.Logf("while it read nothing the node grew by %d KiB, warrenctl has %d KiB", grown, own)
	if grown > 60<<10 || own > 60<<10 {
		t.Errorf("the node grew by %d KiB, warrenctl has %d KiB", grown, own)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(errs).ReadString('\n')
		said <- line
	}()
	select {
	case line := <-said:
		contains(t, "notice", line, "quick-1-1", "did not keep up", "lines may be missing")
	case <-time.After(patience):
		t.Error("no word of missing lines")
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
}

// TestLogsOfAttempts: --previous, --since, --timestamps and labels on a real task.
func TestLogsOfAttempts(t *testing.T) {
	w := running(t)
	w.apply(service("crash", image+"args: [-lines, \"3\", -exit, \"5\"]\nlabels: {tier: back}\nrestart: {delay: 700ms}"))
	three := "line 1\nline 2\nline 3\n"
	task := w.one("crash", "has crashed four times", func(t *v1.Task) bool { // the fifth comes 5.6 s later
		return strings.Count(w.try("logs", t.Metadata.Name).out, three) == 4
	}).Metadata.Name
	all := w.ctl("logs", task)
	if got := w.ctl("logs", task, "--previous"); got != three {
		t.Errorf("previous attempt:\n%s", got)
	}
	if got := w.ctl("logs", task, "--previous", "--tail", "1"); got != "line 3\n" {
		t.Errorf("end of the previous attempt: %q", got)
	}
	if got := w.ctl("logs", "-l", "tier=back", "--tail", "1"); got != task+" | line 3\n" {
		t.Errorf("by label: %q", got)
	}
	stamped := w.ctl("logs", task, "--timestamps")
	lines := strings.Split(strings.TrimSpace(stamped), "\n")
	last, _, _ := strings.Cut(lines[len(lines)-1], " ")
	if at, err := time.Parse(time.RFC3339, last); err != nil || time.Since(at) > patience {
		t.Errorf("time of the last line: %q %v", last, err)
	}
	first, _, _ := strings.Cut(lines[0], " ")
	at, err := time.Parse(time.RFC3339Nano, first)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.ctl("logs", task, "--since", at.Add(-time.Second).Format(time.RFC3339)); got != all {
		t.Errorf("since %v:\n%swant\n%s", at, got, all)
	}
	if got := w.ctl("logs", task, "--since", "1ns"); got != "" {
		t.Errorf("since now: %q", got)
	}
}

// TestFollowOverKill: who follows gets each line once and in order though the node is killed and comes back meanwhile.
func TestFollowOverKill(t *testing.T) {
	const lines = 60_000
	w := running(t)
	w.apply(service("steady", image+fmt.Sprintf("replicas: 3\nargs: [-lines, \"%d\", -rate, \"6000\"]", lines)))
	cmd := w.host.Command(context.Background(), warrenctl, "logs", "-f", "service/steady")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	f, ended, killed := &follower{next: map[string]int{}}, 0, 0
	for in := bufio.NewScanner(out); ended < 3 && in.Scan(); {
		if f.take(in.Text(), lines) {
			ended++
		}
		if n := f.next["steady-1-1"]; n/15_000 > killed && n < lines {
			killed++
			_ = w.cmd.Process.Kill()
			<-w.ended
			w.start()
		}
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	w.ready()
	if ended != 3 || len(f.wrong) > 0 || killed == 0 {
		t.Errorf("%d of 3 came to their end, killed %d times: %q", ended, killed, f.wrong)
	}
}
