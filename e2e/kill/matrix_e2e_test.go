//go:build e2e

package kill

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	roundsOfLife  = 20               // a node lives so many rounds, then comes a fresh one
	settleLimit   = 40 * time.Second // far more than any round needs
	settleSlow    = 5 * time.Second  // worth a word
	settledPasses = 2                // so often in a row, at the same revision, must all be well
)

// TestMatrix is the matrix. Each life of a node has its own seed.
func TestMatrix(t *testing.T) {
	seed, rounds := number(t, "SEED", 1), number(t, "ROUNDS", 100)
	start := time.Now()
	count := tally{}
	for done := 0; done < rounds && !t.Failed(); seed++ {
		n := min(roundsOfLife, rounds-done)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { life(t, seed, n, count) })
		done += n
	}
	t.Logf("%d rounds in %s: %s", rounds, time.Since(start).Round(time.Second), count)
}

// tally counts what was killed, so that a reader sees that all was.
type tally map[string]int

func (c tally) String() string {
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%s %d", k, c[k.String()]))
	}
	return strings.Join(append(parts, fmt.Sprintf("killed again while starting %d", c["again"]),
		fmt.Sprintf("writes acknowledged %d, cut off %d", c["acknowledged"], c["unknown"])), ", ")
}

func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: must be a number from 1", name, text)
	}
	return n
}

func life(t *testing.T, seed, rounds int, count tally) {
	n := newNode(t)
	w := &world{node: n, model: model{now: services{}}, rng: newRandom(seed)}
	w.settle(t, nil)
	for i := 1; i <= rounds; i++ {
		r := w.plan(i)
		begin := time.Now()
		w.round(t, r)
		if t.Failed() {
			t.Fatalf("round %d failed: %s\nrepeat it with: SEED=%d ROUNDS=%d go test -tags e2e -count=1 -v ./e2e/kill", i, r, seed, i)
		}
		count.add(r)
		t.Logf("round %d in %s: %s", i, time.Since(begin).Round(time.Millisecond), r)
	}
}

func (c tally) add(r *round) {
	c[r.kind.String()]++
	if r.again > 0 {
		c["again"]++
	}
	c["acknowledged"] += r.acknowledged
	c["unknown"] += r.unknown
}

// world is one node, what it should be doing, and what it was seen doing when it last was at rest.
type world struct {
	node  *node
	model model
	rng   *random
	seen  map[string]seen // by task
	last  int             // the version that the last change gave to a service
}

// round changes things, kills in the middle of it, mends, and waits until all is as it should be.
func (w *world) round(t *testing.T, r *round) {
	t.Helper()
	w.model.begin()
	writes, begun := make(chan error, 1), make(chan int, len(r.changes))
	go func() { writes <- w.write(r, begun) }()
	w.node.await(r.moment, begun)
	victims, err := w.node.strike(r)
	if err != nil {
		t.Fatalf("kill: %v", err)
	}
	err = <-writes
	if err != nil && !r.kind.hits(theNode) {
		t.Errorf("a write failed though warren ran: %v", err)
	}
	if r.kind.hits(theNode) {
		w.node.startAgain(t, r)
	}
	w.settle(t, victims)
}

// settle waits until there is nothing to complain of, and then compares with how it was before.
func (w *world) settle(t *testing.T, victims map[string]bool) {
	t.Helper()
	deadline, slow := time.Now().Add(settleLimit), time.Now().Add(settleSlow)
	var last int64
	for passes := 0; passes < settledPasses; {
		s := w.look(t.Context())
		switch {
		case len(s.problems) > 0 && time.Now().After(deadline):
			t.Errorf("not settled after %s:\n\t%s", settleLimit, strings.Join(s.problems, "\n\t"))
			return
		case len(s.problems) > 0 && time.Now().After(slow):
			t.Logf("not settled after %s, waiting on:\n\t%s", settleSlow, strings.Join(s.problems, "\n\t"))
			slow = deadline
		case len(s.problems) > 0 || s.revision != last:
			passes, last = 0, s.revision
		default:
			passes++
		}
		if passes == settledPasses {
			w.compare(t, s, victims)
			w.seen = s.tasks
		}
		time.Sleep(20 * time.Millisecond) // between two looks at many things, of which not all can be watched
	}
}

// compare demands that what was left alone is still the same.
func (w *world) compare(t *testing.T, s *sight, victims map[string]bool) {
	t.Helper()
	for name, before := range w.seen {
		after, there := s.tasks[name]
		switch {
		case !there || after.uid != before.uid:
			if w.model.untouched(before.service, before.slot) {
				t.Errorf("task %s was replaced though nothing asked for it", name)
			}
		case victims[name] || victims[everything]:
		case after.process != before.process || after.restarts != before.restarts:
			t.Errorf("task %s was started again though it was not killed: %+v, before %+v", name, after, before)
		case after.count <= before.count:
			t.Errorf("task %s counts %d answers, before %d, in the same process", name, after.count, before.count)
		}
	}
}
