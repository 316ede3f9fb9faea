//go:build e2e

package network

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

const (
	churnEnv    = "WARREN_TEST_CHURN"
	churnRounds = 40
	churnSeed   = 1
)

var churnIDs = []string{"a", "b", "c", "d", "e", "f"}

// TestKilledAnywhere kills a process that attaches and detaches without end, at moments from a seed. What it leaves must be
// complete after Attach and gone after Detach.
func TestKilledAnywhere(t *testing.T) {
	if dir := os.Getenv(churnEnv); dir != "" {
		churn(t, dir)
		return
	}
	isolated(t, func(t *testing.T) {
		run, random := runDir(t), rand.New(rand.NewPCG(churnSeed, 0))
		newNetwork(t, run)
		serve(t, "", "10.0.1.1:81")
		halfMade := 0
		for round := range churnRounds {
			runAndKill(t, run, time.Duration(random.IntN(40_000))*time.Microsecond)
			n := newNetwork(t, run)
			ids, err := n.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if p, _ := n.readAddress(id); !p.IsValid() {
					halfMade++
				}
			}
			for i, id := range ids {
				if (round+i)%2 == 0 {
					if a := mustAttach(t, n, id); ask(t, a.NetNS, "10.0.1.1:81") != a.Address.Addr().String() {
						t.Errorf("round %d: %s does not work", round, id)
					}
				}
			}
			for _, err := range n.detachAll(t.Context(), ids) {
				if err != nil {
					t.Error(err)
				}
			}
			if assertNothingLeft(t, n, run); t.Failed() {
				t.Fatalf("round %d of seed %d", round, churnSeed)
			}
		}
		t.Logf("%d rounds, %d half-made attachments found", churnRounds, halfMade)
	})
}

// runAndKill starts the churning process and kills it some time after its first attachment began.
func runAndKill(t *testing.T, run string, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestKilledAnywhere$", "-test.timeout=20s")
	cmd.Env = append(os.Environ(), churnEnv+"="+run)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Error("the churning process said nothing")
	}
	<-time.After(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the churning process ended by itself: %v", err)
	}
}

func churn(t *testing.T, run string) {
	n := newNetwork(t, run)
	fmt.Println("ready")
	var all sync.WaitGroup
	for _, id := range churnIDs {
		all.Go(func() {
			for !t.Failed() {
				if _, err := n.Attach(t.Context(), id, netip.Addr{}); err != nil {
					t.Error(err)
				}
				if err := n.Detach(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
