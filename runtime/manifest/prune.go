package manifest

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// ErrTooMuch means that pruning would remove so much of a set that it is rather a mistake: another directory, another
// name of a set, a checkout that broke off. Nothing was done.
var ErrTooMuch = errors.New("would remove more than half of the set")

// Guard says how much pruning may remove before it is refused with ErrTooMuch.
type Guard int

// The guards.
const (
	// GuardHalf refuses to remove more than half of what the set has now.
	GuardHalf Guard = iota
	// GuardShrink does so, too, unless the set stays as large as it is: then its objects only have other names.
	GuardShrink
	// GuardNone refuses nothing.
	GuardNone
)

// prune returns the steps that remove what the set applied and does not contain any more.
func prune(all []meta.Object, wanted map[meta.Key]bool, o Options) ([]Step, error) {
	var steps []Step
	members := 0
	for _, x := range all {
		if x.Meta().Labels[SetLabel] != o.Set || !x.Meta().Deleted.IsZero() {
			continue
		}
		if members++; !wanted[x.Key()] {
			steps = append(steps, Step{Key: x.Key(), Action: Deleted, From: x, op: store.DeleteOp(x)})
		}
	}
	sort.Slice(steps, func(i, j int) bool { return meta.Less(steps[i].Key, steps[j].Key) })
	tooMuch := 2*len(steps) > members
	if tooMuch && (o.Guard == GuardHalf || o.Guard == GuardShrink && len(wanted) < members) {
		return nil, fmt.Errorf("prune set %q: %w: %d of %d: %s", o.Set, ErrTooMuch, len(steps), members, names(steps))
	}
	return steps, nil
}

// shownNames is how many objects an error names.
const shownNames = 5

func names(steps []Step) string {
	var out []string
	for _, s := range steps[:min(len(steps), shownNames)] {
		out = append(out, s.Key.String())
	}
	if more := len(steps) - shownNames; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
