//go:build e2e

package quorum

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The leader is killed: another member soon takes commits, and soon leads itself. WARREN_KILLS says how often; default 5.
func TestFailover(t *testing.T) {
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("WARREN_KILLS")); err == nil {
		kills = n
	}
	all := processes(t, 3)
	var writes, leads []time.Duration
	for i := range kills {
		lead := ruler(t, all)
		rest := others(all, lead)
		began := time.Now()
		lead.kill()
		var both sync.WaitGroup
		both.Go(func() { ruler(t, rest); leads = append(leads, time.Since(began)) })
		eventually(t, "a commit at another member", func() bool {
			return rest[i%2].ask("put", "name", "web", "value", fmt.Sprint(i)).Err == ""
		})
		writes = append(writes, time.Since(began))
		both.Wait()
		for _, r := range rest {
			if a := r.ask("get", "name", "web"); a.Value != int64(i) {
				t.Fatalf("%s reads %+v, want %d", r.Name, a, i)
			}
		}
		lead.start()
		eventually(t, "the killed member is back", func() bool { return lead.ask("get", "name", "web").Value == int64(i) })
	}
	for what, took := range map[string][]time.Duration{"commit": writes, "lead": leads} {
		slices.Sort(took)
		t.Logf("from the kill to the next %s, %d times: median %v, worst %v", what, kills, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
		if worst := took[len(took)-1]; worst > 10*time.Second {
			t.Errorf("it took %v", worst)
		}
	}
}

// A leader that was stopped and wakes up as none cannot commit: its controllers are fenced, and are told.
func TestPausedLeader(t *testing.T) {
	all := processes(t, 3)
	old := ruler(t, all)
	if a := old.ask("rule", "name", "web", "value", "1"); a.Err != "" {
		t.Fatal(a.Err)
	}
	old.signal(syscall.SIGSTOP)
	late := make(chan answer, 1)
	go func() { late <- old.ask("rule", "name", "web", "value", "2") }() // waits in the socket until it wakes up
	now := ruler(t, others(all, old))
	eventually(t, "a commit of the new leader", func() bool { return now.ask("rule", "name", "web", "value", "3").Err == "" })
	old.signal(syscall.SIGCONT)
	if a := <-late; a.Err == "" {
		t.Fatalf("a paused leader has committed: %+v", a)
	}
	for _, r := range all {
		if a := r.ask("get", "name", "web"); a.Value != 3 || a.Err != "" {
			t.Fatalf("%s reads %+v", r.Name, a)
		}
	}
	eventually(t, "the old leader's reign ends", func() bool { a := old.ask("look"); return !a.Leader && a.Term == 0 })
	if a := old.ask("rule", "name", "web", "value", "4"); a.Class != "fenced" {
		t.Fatalf("a deposed leader commits: %+v", a)
	}
}

// A leader that is cut off refuses soon, the others go on, and after the cut it is an ordinary member.
func TestCutOffLeader(t *testing.T) {
	all := processes(t, 3)
	old := ruler(t, all)
	rest := others(all, old)
	cut(t, all, old)
	now := ruler(t, rest)
	eventually(t, "a commit of the majority", func() bool { return now.ask("rule", "name", "web", "value", "1").Err == "" })
	eventually(t, "a clear refusal", func() bool {
		a := old.ask("put", "name", "web", "value", "2")
		return a.Class == "unavailable" && a.Err == "commit Service/web: store is unavailable: no quorum: 1 of 3 managers reachable"
	})
	began := time.Now()
	if a := old.ask("get", "name", "web"); a.Class != "unavailable" || time.Since(began) > time.Second {
		t.Fatalf("a read that would be stale: %+v after %v", a, time.Since(began))
	}
	cut(t, all, nil)
	eventually(t, "it is back", func() bool { a := old.ask("get", "name", "web"); return a.Err == "" && a.Value == 1 })
	eventually(t, "its reign is over", func() bool { a := old.ask("look"); return a.Leader == (a.Term > 0) })
}

// cut separates one member from all others, or heals with nil.
func cut(t testing.TB, all []*remote, from *remote) {
	t.Helper()
	for _, r := range all {
		names := ""
		for _, x := range all {
			if from != nil && x != r && (r == from || x == from) {
				names += " " + x.Name
			}
		}
		if a := r.ask("cut", "name", names); a.Err != "" {
			t.Fatal(a.Err)
		}
	}
}
