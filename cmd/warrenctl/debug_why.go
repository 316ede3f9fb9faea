package warrenctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Bounds of the answers in a bundle to why things are as they are.
const (
	mostReasons   = 100
	reasonsWithin = 30 * time.Second
)

// reasons puts in what `why` answers for every node and for all that does not run as it should.
func (v *investigation) reasons(ctx context.Context, all []meta.Object) {
	all = slices.DeleteFunc(slices.Clone(all), func(o meta.Object) bool { return !inTrouble(o) })
	if len(all) > mostReasons {
		v.b.miss("why.txt", fmt.Errorf("%d are asked for, %d more are left out", mostReasons, len(all)-mostReasons))
		all = all[:mostReasons]
	}
	ctx, cancel := context.WithTimeout(ctx, reasonsWithin)
	defer cancel()
	var b bytes.Buffer
	for _, o := range all {
		var lines []string
		err := limited(ctx, func(ctx context.Context) (err error) { lines, err = v.s.Why(ctx, o.Key()); return err })
		if errors.Is(err, store.ErrNotFound) {
			continue // it is gone by now
		}
		if err != nil {
			v.b.miss("why.txt", fmt.Errorf("%s: %w", lower(o.Key().Kind, o.Key().Name), err))
			break // the next one would fare no better
		}
		fmt.Fprintf(&b, "%s\n\n", strings.Join(v.withoutLastWords(lines), "\n"))
	}
	if b.Len() > 0 {
		v.b.add("why.txt", scrubText(b.Bytes()))
	}
}

// inTrouble tells what is worth asking about.
func inTrouble(o meta.Object) bool {
	switch o := o.(type) {
	case *v1.Node:
		return true
	case *v1.Service:
		return o.Status.Conditions.Find(v1.ConditionAvailable).Status != meta.True
	case *v1.Task:
		return !o.Status.Ready
	}
	return false
}

// withoutLastWords leaves out what tasks wrote, unless their logs are wanted.
func (v *investigation) withoutLastWords(lines []string) []string {
	return slices.DeleteFunc(lines, func(l string) bool {
		return !v.logs && strings.HasPrefix(strings.TrimSpace(l), "it wrote: ")
	})
}
