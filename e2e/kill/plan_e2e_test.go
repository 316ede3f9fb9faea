//go:build e2e

package kill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is what a round kills.
type kind []string

// What can be killed, alone or together.
const (
	theNode    = "warren"
	aShim      = "a shim"
	aTask      = "a task"
	allShims   = "all shims"
	everything = "everything" // warren, shims and tasks
	thePower   = "the power"  // and what a kernel holds in memory
)

// kinds are in the order of the tally; weights say how often each comes.
var (
	kinds = []kind{
		{theNode}, {aShim}, {aTask}, {theNode, aShim}, {theNode, aTask}, {theNode, allShims}, {everything}, {thePower},
	}
	weights = []int{35, 12, 12, 9, 9, 3, 12, 8}
)

func (k kind) String() string { return strings.Join(k, " and ") }

func (k kind) hits(what string) bool {
	return slices.Contains(k, what) || what == theNode && (slices.Contains(k, everything) || slices.Contains(k, thePower))
}

// moment is when to strike: so long after a write began, or after so many commits were seen but not later than a time.
type moment struct {
	write   int
	commits int
	after   time.Duration
}

func (m moment) String() string {
	switch {
	case m.write > 0:
		return fmt.Sprintf("%s into write %d", m.after, m.write)
	case m.commits > 0:
		return fmt.Sprintf("after %d commits or %s", m.commits, m.after)
	}
	return "after " + m.after.String()
}

// round is what a seed decided.
type round struct {
	changes []change
	kind    kind
	moment  moment
	pause   time.Duration // between changes
	again   time.Duration // kill warren again so long after its start; 0: do not
	pick    float64       // which of the shims or tasks is hit, as a part of all

	acknowledged, unknown int
}

func (r *round) String() string {
	text := make([]string, len(r.changes))
	for i, c := range r.changes {
		text[i] = c.String()
	}
	line := fmt.Sprintf("%s; kill %s %s", strings.Join(text, ", "), r.kind, r.moment)
	if r.again > 0 {
		line += fmt.Sprintf(", again %s after the start", r.again)
	}
	return line
}

type random struct{ *rand.Rand }

func newRandom(seed int) *random { return &random{rand.New(rand.NewPCG(uint64(seed), 0))} }

func (r *random) upTo(d time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(d))).Round(100 * time.Microsecond)
}

func (r *random) chance(percent int) bool { return r.IntN(100) < percent }

// plan decides a round. Nothing but the seed and the number of the round has a say in it, so that it is the same the next
// time, whatever became of the writes of earlier rounds.
func (w *world) plan(number int) *round {
	rng := &random{rand.New(rand.NewPCG(w.rng.Uint64(), uint64(number)))}
	r := &round{kind: rng.kind(), pick: rng.Float64()}
	for range 1 + rng.IntN(3) {
		r.changes = append(r.changes, w.change(rng))
	}
	r.moment = rng.moment(len(r.changes))
	if rng.chance(50) {
		r.pause = rng.upTo(300 * time.Millisecond)
	}
	if r.kind.hits(theNode) && rng.chance(30) {
		r.again = rng.upTo(400*time.Millisecond) + time.Millisecond
	}
	return r
}

func (r *random) kind() kind {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := r.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return kinds[i]
		}
	}
	panic("weights do not add up")
}

// moment is mostly early, while much happens.
func (r *random) moment(writes int) moment {
	switch r.IntN(4) {
	case 3:
		return moment{write: 1 + r.IntN(writes), after: r.upTo(8 * time.Millisecond)}
	case 0:
		return moment{after: r.upTo(60 * time.Millisecond)}
	case 1:
		return moment{after: r.upTo(800 * time.Millisecond)}
	}
	return moment{commits: 1 + r.IntN(12), after: time.Second}
}
