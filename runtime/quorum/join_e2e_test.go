//go:build e2e

package quorum

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// A member that joins, and the one that adds it, are killed at any moment; the same steps again bring it in, and nothing that
// was acknowledged is lost. WARREN_KILL_SEED repeats the moments.
func TestKillWhileJoining(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("WARREN_KILL_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("WARREN_KILL_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	all := processes(t, 1)
	first := all[0]
	n := first.sibling("n1")
	for round := range 10 {
		value := fmt.Sprint(round + 1)
		if a := first.ask("put", "name", "web", "value", value); a.Err != "" {
			t.Fatal(a.Err)
		}
		for range 1 + random.IntN(3) {
			tryToJoin(t, first, n)
			time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond) // the moment is what is tested
			n.kill()
			if random.IntN(2) == 0 {
				first.kill()
				first.start()
			}
		}
		eventually(t, "it votes", func() bool {
			if n.cmd == nil {
				tryToJoin(t, first, n)
			}
			if n.cmd == nil || n.ended() {
				n.kill()
				return false
			}
			voters, reachable := votes(first.ask("members").Members)
			return voters == 2 && reachable == 2
		})
		eventually(t, "it has everything", func() bool { return fmt.Sprint(n.ask("get", "name", "web").Value) == value })
		eventually(t, "it is removed", func() bool { a := first.ask("remove", "name", "n1"); return a.Err == "" || a.Class == "gone" })
		n.kill()
		if err := os.RemoveAll(n.Dir + "/etcd"); err != nil {
			t.Fatal(err)
		}
	}
}

// tryToJoin does what a node does that is told to join: a member that is there is started, else a place is asked for.
func tryToJoin(t *testing.T, first, n *remote) {
	t.Helper()
	if n.Join = nil; !Exists(n.Dir + "/etcd") {
		a := first.ask("add", "name", n.Name, "address", n.Address)
		if a.Class == "unknown" || a.Class == "unavailable" {
			return
		}
		if a.Err != "" {
			t.Fatal(a.Err)
		}
		n.Join = a.Joining
	}
	if err := n.tryStart(); err != nil && !errors.Is(err, errEnded) {
		t.Fatal(err)
	}
}
