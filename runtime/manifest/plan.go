package manifest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// SetLabel marks an object as one that a set applied, so that pruning the set removes it and nothing else. What a file says
// about this label does not count: only applying with a set gives it.
const SetLabel = "warren.io/set"

// Errors of Compare and Apply. Use errors.Is.
var (
	ErrOtherSet = errors.New("belongs to another set")
	ErrLeaving  = errors.New("is being deleted; apply again when it is gone")
)

// Options of Compare and Apply. The zero value adds and changes, and removes nothing.
type Options struct {
	// Set is the name of what the objects belong to; empty for none.
	Set string
	// Prune removes what the set applied once and does not contain any more.
	Prune bool
	// Guard bounds what pruning may remove.
	Guard Guard
}

// Action is what applying does to one object.
type Action string

// The actions.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Deleted    Action = "deleted"
)

// Step is one object's part of a Plan.
type Step struct {
	Key    meta.Key
	Action Action
	// Fields are those that change, when the action is Configured.
	Fields []FieldChange
	// From is the object as it is, To as it shall be; nil where there is none.
	From, To meta.Object
	op       store.Op
}

// Plan is what applying changes, seen from one revision. The zero Plan changes nothing.
type Plan struct {
	Steps []Step
}

// Changes counts the steps that change something.
func (p Plan) Changes() int {
	n := 0
	for _, s := range p.Steps {
		if s.Action != Unchanged {
			n++
		}
	}
	return n
}

// Commit applies all steps at once or none; store.ErrConflict means that an object changed since the plan was made.
func (p Plan) Commit(ctx context.Context, to store.Store) (store.Revision, error) {
	var ops []store.Op
	for _, s := range p.Steps {
		if s.Action != Unchanged {
			ops = append(ops, s.op)
		}
	}
	if len(ops) == 0 {
		return 0, nil
	}
	return to.Commit(ctx, ops...)
}

// Compare says what applying the objects would change. Spec, labels and annotations become what the objects say; the
// system's metadata and status stay. Steps are in the order of the objects; removals follow, by kind and name.
func Compare(ctx context.Context, in store.Store, objects []meta.Object, o Options) (Plan, error) {
	if err := o.check(objects); err != nil {
		return Plan{}, err
	}
	all, _, err := in.List(ctx)
	if err != nil {
		return Plan{}, err
	}
	there := make(map[meta.Key]meta.Object, len(all))
	for _, x := range all {
		there[x.Key()] = x
	}
	var plan Plan
	var wrong []error
	wanted := map[meta.Key]bool{}
	for _, want := range objects {
		wanted[want.Key()] = true
		step, err := compare(want, there[want.Key()], o.Set)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", want.Key(), err))
		}
		plan.Steps = append(plan.Steps, step)
	}
	if o.Prune {
		gone, err := prune(all, wanted, o)
		if err != nil {
			wrong = append(wrong, err)
		}
		plan.Steps = append(plan.Steps, gone...)
	}
	return plan, errors.Join(wrong...)
}

func (o Options) check(objects []meta.Object) error {
	switch {
	case len(objects) == 0:
		return fmt.Errorf("apply: %w", ErrEmpty) // above all no reason to prune
	case o.Prune && o.Set == "":
		return errors.New("prune: needs the name of a set; only what a set applied is ever removed")
	case o.Set != "" && meta.CheckName(o.Set) != "":
		return fmt.Errorf("set: %s", meta.CheckName(o.Set))
	}
	return nil
}

func compare(want, have meta.Object, set string) (Step, error) {
	o := want.Clone()
	o.SetDefaults()
	step := Step{Key: o.Key(), Action: Created, From: have, To: o}
	keepMarks(o, have)
	if have == nil {
		mark(o, set)
		step.op = store.CreateOp(o)
		return step, nil
	}
	owner := have.Meta().Labels[SetLabel]
	switch {
	case !have.Meta().Deleted.IsZero():
		return step, ErrLeaving
	case set != "" && owner != "" && owner != set:
		return step, fmt.Errorf("%w: %q", ErrOtherSet, owner)
	case set == "":
		set = owner
	}
	mark(o, set)
	over(o, have)
	step.Fields = Changes(have, o)
	if step.Action = Configured; len(step.Fields) == 0 {
		step.Action = Unchanged
	}
	step.op = store.UpdateOp(o)
	return step, nil
}

func mark(o meta.Object, set string) {
	m := o.Meta()
	delete(m.Labels, SetLabel)
	if set == "" {
		return
	}
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	m.Labels[SetLabel] = set
}

// systemMarks is before the keys of annotations that are not written in files, but by verbs: when a restart was asked for.
const systemMarks = "warren.io/"

// keepMarks gives o the marks of have, whatever its file says: a file from before a restart is no reason for another one.
func keepMarks(o, have meta.Object) {
	isMark := func(key, _ string) bool { return strings.HasPrefix(key, systemMarks) }
	maps.DeleteFunc(o.Meta().Annotations, isMark)
	if have == nil {
		return
	}
	for key, value := range have.Meta().Annotations {
		if isMark(key, value) {
			if o.Meta().Annotations == nil {
				o.Meta().Annotations = map[string]string{}
			}
			o.Meta().Annotations[key] = value
		}
	}
}

// over makes o a new version of have: what the system wrote stays.
func over(o, have meta.Object) {
	labels, annotations := o.Meta().Labels, o.Meta().Annotations
	*o.Meta() = *have.Clone().Meta()
	o.Meta().Labels, o.Meta().Annotations = labels, annotations
	meta.CopyStatus(o, have)
}

// attempts to apply while others write the same objects.
const attempts = 8

// Apply makes the store say what the objects say, in one commit, and tells what changed. When somebody else writes one of
// the objects meanwhile, it compares again.
func Apply(ctx context.Context, to store.Store, objects []meta.Object, o Options) (Plan, error) {
	var tried Plan // one whose outcome nobody knows
	for try := 1; ; try++ {
		plan, err := Compare(ctx, to, objects, o)
		if err != nil {
			return Plan{}, err
		}
		if plan.Changes() == 0 && tried.Changes() > 0 {
			return tried, nil // it was applied after all
		}
		_, err = plan.Commit(ctx, to)
		switch {
		case err == nil:
			return plan, nil
		case try == attempts || ctx.Err() != nil:
			return Plan{}, fmt.Errorf("apply: %w", err)
		case errors.Is(err, store.ErrUnknown):
			tried = plan
		case !errors.Is(err, store.ErrConflict):
			return Plan{}, fmt.Errorf("apply: %w", err)
		}
	}
}
