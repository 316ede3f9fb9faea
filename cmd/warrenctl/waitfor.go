package warrenctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/cmd/warrenctl/jsonpath"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) waitVerb() *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "wait until something holds for resources", ArgsUsage: "KIND/NAME... | KIND NAME... | KIND -l SELECTOR|--all --for WHAT",
		Description: "WHAT is one of\n  condition=TYPE[=STATUS]      such as condition=Available or condition=Available=False\n" +
			"  delete                       until they are gone\n  jsonpath={PATH}[=VALUE]      such as jsonpath={.status.ready}=3; without a value: until there is one\n" +
			"Exit code 0 means that it holds for all, 4 that it did not in time, 3 that it cannot any more because one is gone, or,\n" +
			"with --timeout 0, that it does not hold now.",
		Flags: append(subjectFlags(), &cli.StringFlag{Name: "for", Usage: "condition=TYPE[=STATUS], delete or jsonpath={PATH}[=VALUE]"}, timeoutFlag()),
		Action: func(c *cli.Context) error {
			x, err := subjectOf(c, c.Args().Slice(), "warrenctl wait service/NAME --for condition=Available")
			if err != nil {
				return err
			}
			w := &awaited{p: p, there: map[meta.Key]meta.Object{}, done: map[meta.Key]bool{}, known: map[meta.Key]int64{}}
			if w.test, err = testOf(c.String("for"), x.kinds()); err != nil {
				return err
			}
			x.staying = !w.test.gone
			s, err := p.server(c)
			if err != nil {
				return err
			}
			if w.keys, err = x.find(c.Context, p, s); err != nil {
				return err
			}
			if len(w.keys) == 0 {
				return w.none()
			}
			return w.run(c.Context, s, c.Duration("timeout"))
		},
	}
}

// none is the outcome when there is nothing to wait for.
func (w *awaited) none() error {
	if w.test.gone {
		return nil
	}
	return &exit{code: codeNo}
}

// test is what is waited for.
type test struct {
	gone bool // it holds for what is not there
	// holds tells whether it does for an object; the text says how it stands.
	holds func(meta.Object) (bool, string)
}

func testOf(text string, kinds []*meta.Kind) (test, error) {
	what, rest, _ := strings.Cut(text, "=")
	switch {
	case text == "":
		return test{}, try(usagef("wait until what? say it with --for"), "--for condition=Available, --for delete or --for 'jsonpath={.status.ready}=3'")
	case text == "delete":
		return test{gone: true, holds: func(meta.Object) (bool, string) { return false, "it is still there" }}, nil
	case what == "condition" && rest != "":
		return conditionTest(rest, kinds)
	case what == "jsonpath" && rest != "":
		return pathTest(rest, kinds)
	}
	return test{}, usagef("--for %s is not understood; write condition=TYPE[=STATUS], delete or jsonpath={PATH}[=VALUE]", text)
}

// conditionTypes are those that the kinds have.
var conditionTypes = map[string][]string{
	v1.ServiceKind.Name: {v1.ConditionAvailable, v1.ConditionUpdated},
	v1.NodeKind.Name:    {v1.ConditionReady},
	v1.TaskKind.Name:    {v1.ConditionReady}, // which is a field of its own
}

func conditionTest(text string, kinds []*meta.Kind) (test, error) {
	name, status, given := strings.Cut(text, "=")
	want := string(meta.True)
	if given {
		want = status
	}
	for _, kind := range kinds {
		known, of := conditionTypes[kind.Name], strings.ToLower(kind.Name)
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		switch near := meta.Suggest(name, known); {
		case i >= 0:
			name = known[i]
		case len(known) == 0:
			return test{}, try(usagef("%s have no conditions", kind.Plural), "--for 'jsonpath={.status.ready}=true'")
		case near != "":
			return test{}, usagef("a %s has no condition %q; did you mean %q?", of, name, near)
		default:
			return test{}, usagef("a %s has no condition %q; there are %s", of, name, strings.Join(known, ", "))
		}
	}
	return test{holds: func(o meta.Object) (bool, string) {
		c := conditionsOf(o).Find(name)
		if t, ok := o.(*v1.Task); ok {
			c = readyOf(t)
		}
		if s, ok := o.(*v1.Service); ok && s.Status.ObservedGeneration < s.Metadata.Generation {
			return false, name + " is not known yet for what was applied last"
		}
		switch {
		case c.Type == "":
			return false, name + " is not known yet"
		case c.Message != "":
			return strings.EqualFold(string(c.Status), want), fmt.Sprintf("%s is %s: %s", name, c.Status, c.Message)
		}
		return strings.EqualFold(string(c.Status), want), fmt.Sprintf("%s is %s", name, c.Status)
	}}, nil
}

// readyOf is a task's field ready as a condition.
func readyOf(t *v1.Task) meta.Condition {
	c := meta.Condition{Type: v1.ConditionReady, Status: meta.False, Message: reasonOf(t)}
	if t.Status.Ready {
		c.Status = meta.True
	}
	return c
}

func pathTest(text string, kinds []*meta.Kind) (test, error) {
	path, want, given := strings.Cut(text, "}=")
	if given {
		path += "}"
	} else if !strings.HasPrefix(text, "{") {
		path, want, given = strings.Cut(text, "=")
	}
	var roots []*meta.Field
	for _, k := range kinds {
		roots = append(roots, v1.Outline(k))
	}
	p, err := pathOf(path, roots)
	if err != nil {
		return test{}, usagef("%v", err)
	}
	return test{holds: func(o meta.Object) (bool, string) {
		found := p.Find(jsonpath.Of(o))
		is := jsonpath.Join(found, ",")
		if !given {
			return is != "", p.String() + " has no value"
		}
		return is == want, fmt.Sprintf("%s is %s", p, dash(is))
	}}, nil
}

// patience is how long an answer may take where nothing is waited for (--timeout 0).
const patience = 10 * time.Second

// awaited are the objects that something is waited for.
type awaited struct {
	p     *program
	test  test
	keys  []meta.Key
	there map[meta.Key]meta.Object
	known map[meta.Key]int64 // the incarnations that were there at the start
	done  map[meta.Key]bool
}

func (w *awaited) run(ctx context.Context, s *grpcstore.Store, most time.Duration) error {
	var kinds []string
	for _, k := range kindsOf(w.keys) {
		kinds = append(kinds, k.Name)
	}
	timed, cancel := context.WithTimeout(ctx, cmp.Or(most, patience))
	defer cancel()
	err := w.p.changes(timed, s.Only(kinds...), func(all []meta.Object) error { return w.first(all, most) }, func(c store.Change) error {
		w.there[c.Key] = c.Object
		return w.look()
	})
	switch {
	case errors.Is(err, errSettled):
		return nil
	case late(ctx, timed, err):
		return &exit{error: w.open(fmt.Sprintf(" after %s", most)), code: codeLate, try: w.next()}
	}
	return err
}

// first looks at what is there: what is not cannot be waited for, but for its end.
func (w *awaited) first(all []meta.Object, most time.Duration) error {
	for _, o := range all {
		w.there[o.Key()], w.known[o.Key()] = o, o.Meta().UID
	}
	var missing []error
	for _, key := range w.keys {
		if w.there[key] == nil && !w.test.gone {
			missing = append(missing, notFound(key))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return err
	}
	err := w.look()
	if err == nil && most == 0 {
		return &exit{error: w.open(""), code: codeNo, try: w.next()}
	}
	return err
}

// look prints for what it holds now, once; errSettled when that is all.
func (w *awaited) look() error {
	for _, key := range w.keys {
		o := w.there[key]
		gone := o == nil || o.Meta().UID != w.known[key] // another one of that name is not the same
		switch {
		case w.done[key]:
		case gone && !w.test.gone:
			return &exit{error: fmt.Errorf("%s was deleted", lower(key.Kind, key.Name)), code: codeNo}
		case gone:
			w.done[key] = true
			w.p.printf("%s deleted\n", lower(key.Kind, key.Name))
		default:
			if ok, _ := w.test.holds(o); ok {
				w.done[key] = true
				w.p.printf("%s condition met\n", lower(key.Kind, key.Name))
			}
		}
	}
	for _, key := range w.keys {
		if !w.done[key] {
			return nil
		}
	}
	return errSettled
}

// next is where to look for the cause of the first for which it does not hold.
func (w *awaited) next() string {
	for _, key := range w.keys {
		if !w.done[key] {
			return whyOf(key)
		}
	}
	return ""
}

// open says for what it does not hold, and how that stands.
func (w *awaited) open(after string) error {
	var all []error
	for _, key := range w.keys {
		if w.done[key] {
			continue
		}
		how := "no answer"
		if o := w.there[key]; o != nil {
			_, how = w.test.holds(o)
		}
		all = append(all, fmt.Errorf("%s%s: %s", lower(key.Kind, key.Name), after, clean(how)))
	}
	return errors.Join(all...)
}
