//go:build e2e

package quorum

import (
	"os/exec"
	"testing"
	"time"

	"warren.io/warren/e2e/hosts"
)

// The leader's cable is pulled, so that packets vanish and no connection ends: the others go on, it refuses soon, and when
// the cable is back it is a member again within seconds, although its connections were never told.
func TestPulledCable(t *testing.T) {
	bench := hosts.New(t)
	planned, machines := []*remote{}, map[*remote]*hosts.Host{}
	for _, name := range []string{"a", "b", "c"} {
		h, err := bench.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		r := &remote{orders: orders{Address: h.Address.Addr().String() + ":7443"}}
		r.run = func(program string, args ...string) *exec.Cmd { return h.Command(t.Context(), program, args...) }
		planned, machines[r] = append(planned, r), h
	}
	all := processesOf(t, planned)
	for _, long := range []time.Duration{2 * time.Second, 8 * time.Second} {
		old := ruler(t, all)
		began := time.Now()
		if err := machines[old].Cut(); err != nil {
			t.Fatal(err)
		}
		now := ruler(t, others(all, old))
		eventually(t, "a commit of the majority", func() bool { return now.ask("rule", "name", "web", "value", "1").Err == "" })
		took := time.Since(began)
		eventually(t, "a clear refusal", func() bool {
			return old.ask("put", "name", "web", "value", "2").Err == "commit Service/web: store is unavailable: no quorum: 1 of 3 managers reachable"
		})
		refused := time.Since(began)
		time.Sleep(long - refused) // the length of the cut is what is tested
		healed := time.Now()
		if err := machines[old].Heal(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is back", func() bool { a := old.ask("get", "name", "web"); return a.Err == "" && a.Value == 1 })
		t.Logf("cut for %v: the next commit elsewhere after %v, a clear refusal here after %v, back %v after the heal",
			long, took.Round(time.Millisecond), refused.Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
		eventually(t, "everybody reaches everybody", func() bool {
			for _, r := range all {
				if _, reachable := votes(r.ask("members").Members); reachable != len(all) {
					return false
				}
			}
			return true
		})
	}
}
