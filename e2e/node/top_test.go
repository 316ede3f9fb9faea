//go:build e2e

package node

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"warren.io/warren/apis/meta"
)

// row of a table, by column.
func row(t *testing.T, text, name string) map[string]string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	head := strings.Fields(lines[0])
	for _, line := range lines[1:] {
		if cells := strings.Fields(line); cells[0] == name && len(cells) == len(head) {
			out := map[string]string{}
			for i, c := range cells {
				out[head[i]] = c
			}
			return out
		}
	}
	t.Fatalf("no row %s in\n%s", name, text)
	return nil
}

// mebibytes reads what top writes of memory.
func mebibytes(text string) float64 {
	for suffix, factor := range map[string]float64{"Ki": 1. / 1024, "Mi": 1, "Gi": 1024} {
		if number, ok := strings.CutSuffix(strings.TrimSuffix(text, "/s"), suffix); ok {
			n, _ := strconv.ParseFloat(number, 64)
			return n * factor
		}
	}
	return 0
}

func TestTop(t *testing.T) {
	w := running(t)
	w.apply(service("busy", image+"args: [-lines, \"-1\"]\nresources: {limits: {cpu: 300m, memory: 64Mi}}")+
		service("fat", image+"args: [-eat, 48Mi]\nresources: {limits: {memory: 100Mi}}")+service("web", image), "--wait")
	web := w.one("web", "runs", ready)
	revision := func() string {
		head, _, _ := strings.Cut(w.api("/v1/services").body, ",") // {"revision":12,"items":...
		return head
	}
	before := revision()

	done := make(chan struct{})
	go func() { // traffic
		defer close(done)
		for range 300 {
			_, _ = get(w.inside, "http://"+web.Status.Address+":8080/")
		}
	}()
	out := w.ctl("top", "tasks", "--interval", "3s")
	<-done
	t.Logf("\n%s", out)
	lines := strings.Split(out, "\n")
	if !strings.HasPrefix(lines[1], "busy-1-1 ") {
		t.Errorf("the busiest is not first:\n%s", out)
	}
	cpu, err := meta.ParseCPU(row(t, out, "busy-1-1")["CPU"])
	if err != nil || cpu < 150 || cpu > 400 {
		t.Errorf("busy uses %v %v, with a limit of 300m", cpu, err)
	}
	fat := row(t, out, "fat-1-1")
	if m := mebibytes(fat["MEMORY"]); m < 47 || m > 75 || fat["LIMIT"] != "100Mi" {
		t.Errorf("fat uses %v", fat)
	}
	traffic := row(t, out, "web-1-1")
	if traffic["RECEIVED"] == "0B/s" || traffic["SENT"] == "0B/s" {
		t.Errorf("web has traffic: %v", traffic)
	}
	if out := w.ctl("top", "tasks", "--sort-by", "memory", "--interval", "10ms"); !strings.HasPrefix(strings.Split(out, "\n")[1], "fat-1-1 ") {
		t.Errorf("the biggest is not first:\n%s", out)
	}
	nodes := w.ctl("top", "nodes")
	t.Logf("\n%s", nodes)
	n1 := row(t, nodes, "n1")
	if mebibytes(n1["MEMORY"]) < 50 || n1["MEMORY%"] == "0%" || mebibytes(n1["DISK"]) < 50 || n1["CPU"] == "0" {
		t.Errorf("the node: %v", n1)
	}

	// -w goes on, and is nothing but reading.
	cmd := w.host.Command(context.Background(), warrenctl, "top", "tasks", "-w", "--interval", "100ms")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s := w.session(cmd, pipe)
	heads := 0
	for line := range s.lines {
		if strings.HasPrefix(line, "NAME ") {
			if heads++; heads == 5 {
				break
			}
		}
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	for range s.lines {
	}
	if code := s.code(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if now := revision(); now != before {
		t.Errorf("something was written: %s, was %s", now, before)
	}
}
