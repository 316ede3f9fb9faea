package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// service makes a checked Service as Read does.
func service(name string, change ...func(*v1.Service)) *v1.Service {
	s := meta.New[v1.Service](name)
	s.Spec.Image = "a:1"
	for _, c := range change {
		c(s)
	}
	s.SetDefaults()
	return s
}

func admitted() store.Store { return store.Admit(memstore.New(), v1.Kinds, time.Now) }

// apply applies and returns one word for each object: "+web ~api =db -old".
func apply(t *testing.T, st store.Store, o Options, objects ...meta.Object) string {
	t.Helper()
	plan, err := Apply(t.Context(), st, objects, o)
	if err != nil {
		t.Fatal(err)
	}
	return words(plan)
}

func words(p Plan) string {
	sign := map[Action]string{Created: "+", Configured: "~", Unchanged: "=", Deleted: "-"}
	var out []string
	for _, s := range p.Steps {
		out = append(out, sign[s.Action]+s.Key.Name)
	}
	return strings.Join(out, " ")
}

func get(t *testing.T, st store.Store, name string) *v1.Service {
	t.Helper()
	o, err := st.Get(t.Context(), meta.Key{Kind: "Service", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return o.(*v1.Service)
}

func TestApply(t *testing.T) {
	st := admitted()
	three := func(s *v1.Service) { n := 3; s.Spec.Replicas = &n }
	labelled := func(s *v1.Service) { s.Metadata.Labels = map[string]string{"app": "x"} }
	for _, c := range []struct {
		objects []meta.Object
		o       Options
		want    string
	}{
		{[]meta.Object{service("web"), service("api")}, Options{}, "+web +api"},
		{[]meta.Object{service("web"), service("api")}, Options{}, "=web =api"},
		{[]meta.Object{service("web", three)}, Options{}, "~web"},
		{[]meta.Object{service("web", three, labelled)}, Options{}, "~web"},
		{[]meta.Object{service("web", three)}, Options{}, "~web"},
		{[]meta.Object{service("web")}, Options{Set: "kiosk"}, "~web"},
		{[]meta.Object{service("web")}, Options{}, "=web"}, // without a set it stays in the one it is in
		{[]meta.Object{service("db"), service("cache")}, Options{Set: "kiosk", Prune: true, Guard: GuardNone}, "+db +cache -web"},
		{[]meta.Object{service("cache")}, Options{Set: "kiosk"}, "=cache"},
		{[]meta.Object{service("cache")}, Options{Set: "kiosk", Prune: true}, "=cache -db"},
		{[]meta.Object{service("new")}, Options{Set: "other", Prune: true}, "+new"},
	} {
		if got := apply(t, st, c.o, c.objects...); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	if s := get(t, st, "api"); s.Metadata.Generation != 1 || s.Metadata.Labels[SetLabel] != "" {
		t.Errorf("the prune of a set touched another object: %+v", s.Metadata)
	}
}

func TestApplyRefuses(t *testing.T) {
	st := admitted()
	apply(t, st, Options{Set: "kiosk"}, service("web"))
	leaving := service("old")
	leaving.Metadata.Finalizers, leaving.Metadata.Deleted = []string{"x"}, time.Now()
	mem := memstore.New(leaving)
	for _, c := range []struct {
		st      store.Store
		objects []meta.Object
		o       Options
		want    string
	}{
		{st, nil, Options{Set: "kiosk", Prune: true}, "apply: holds no objects"},
		{st, []meta.Object{service("web")}, Options{Prune: true}, "prune: needs the name of a set; only what a set applied is ever removed"},
		{st, []meta.Object{service("web")}, Options{Set: "a b"}, "set: \"a b\" is no name"},
		{st, []meta.Object{service("ok"), service("web")}, Options{Set: "mine"}, "Service/web: belongs to another set: \"kiosk\""},
		{mem, []meta.Object{service("old")}, Options{}, "Service/old: is being deleted; apply again when it is gone"},
		{st, []meta.Object{service("new"), service("bad", func(s *v1.Service) { s.Spec.User = "a b" })}, Options{}, "apply: Service/bad: spec.user: "},
	} {
		_, err := Apply(t.Context(), c.st, c.objects, c.o)
		if !strings.HasPrefix(fmt.Sprint(err), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if all, _, _ := st.List(t.Context()); len(all) != 1 {
		t.Errorf("a refused apply left %d objects; it is all or nothing", len(all))
	}
}

func TestFieldChanges(t *testing.T) {
	st := admitted()
	a := service("web", func(s *v1.Service) {
		s.Spec.Env = v1.Env{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}
		s.Spec.Args = []string{"-v"}
		s.Metadata.Labels = map[string]string{"app": "x"}
	})
	b := service("web", func(s *v1.Service) {
		s.Spec.Env = v1.Env{{Name: "B", Value: "2"}, {Name: "A", Value: "9"}, {Name: "EMPTY"}}
		s.Spec.Args = []string{"-v", "a b"}
		s.Spec.Resources.Limits.Memory = 64 << 20
		s.Metadata.Annotations = map[string]string{"note": "new"}
	})
	apply(t, st, Options{}, a)
	plan, err := Compare(t.Context(), st, []meta.Object{b}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []FieldChange{
		{"metadata.annotations.note", "", "new"}, {"metadata.labels.app", "x", ""}, {"spec.args", `["-v"]`, `["-v", "a b"]`},
		{"spec.env[A]", "1", "9"}, {"spec.env[EMPTY]", "", ""}, {"spec.resources.limits.memory", "", "64Mi"},
	}
	if got := plan.Steps[0].Fields; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Applying keeps what belongs to the system, and does so also on a store that does not look after it.
func TestApplyKeepsSystemFields(t *testing.T) {
	was := service("web")
	was.Metadata.Generation, was.Metadata.Created = 4, time.Unix(100, 0).UTC()
	was.Metadata.Finalizers = []string{"x"}
	was.Status.Ready = 3
	st := memstore.New(was)
	now := service("web", func(s *v1.Service) { s.Spec.Image = "a:2"; s.Status.Ready = 9; s.Metadata.Generation = 77 })
	apply(t, st, Options{}, now)
	got := get(t, st, "web")
	if got.Status.Ready != 3 || got.Metadata.Generation != 4 || len(got.Metadata.Finalizers) != 1 || !got.Metadata.Created.Equal(was.Metadata.Created) {
		t.Errorf("got %+v, status %+v", got.Metadata, got.Status)
	}
	if got.Spec.Image != "a:2" {
		t.Error("the spec was not applied")
	}
}

// noisy is a store in which somebody else writes before some commits, or whose answers get lost.
type noisy struct {
	store.Store
	conflicts int
	unknown   bool
}

func (n *noisy) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if n.conflicts > 0 {
		n.conflicts--
		o, err := n.Store.Get(ctx, ops[0].Key)
		if err != nil {
			return 0, err
		}
		if _, err := n.Store.Commit(ctx, store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}); err != nil {
			return 0, err
		}
	}
	rev, err := n.Store.Commit(ctx, ops...)
	if err == nil && n.unknown {
		n.unknown = false
		return 0, fmt.Errorf("lost: %w", store.ErrUnknown)
	}
	return rev, err
}

func TestApplyAmongOthers(t *testing.T) {
	mem := memstore.New(service("web"))
	changed := func(image string) meta.Object { return service("web", func(s *v1.Service) { s.Spec.Image = image }) }
	if got := apply(t, &noisy{Store: mem, conflicts: 3}, Options{}, changed("a:2")); got != "~web" {
		t.Errorf("after conflicts: %s", got)
	}
	if got := apply(t, &noisy{Store: mem, unknown: true}, Options{}, changed("a:3")); got != "~web" {
		t.Errorf("after a lost answer: %s", got)
	}
	if got := get(t, mem, "web").Spec.Image; got != "a:3" {
		t.Errorf("image is %s", got)
	}
	_, err := Apply(t.Context(), &noisy{Store: mem, conflicts: 1000}, []meta.Object{changed("a:4")}, Options{})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

// Pruning most of a set is refused, since it is seldom what somebody wants.
func TestPruneGuard(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	objects := func(names ...string) (out []meta.Object) {
		for _, n := range names {
			out = append(out, service(n))
		}
		return out
	}
	for _, c := range []struct {
		guard Guard
		now   []string
		want  string
	}{
		{GuardHalf, []string{"a", "b"}, "=a =b -c -d"},
		{GuardHalf, []string{"a"}, "prune set \"s\": would remove more than half of the set: 3 of 4: Service/b, Service/c, Service/d"},
		{GuardHalf, []string{"e", "f", "g", "h"}, "prune set \"s\": would remove more than half of the set: 4 of 4: Service/a, Service/b, Service/c, Service/d"},
		{GuardShrink, []string{"e", "f", "g", "h"}, "+e +f +g +h -a -b -c -d"},
		{GuardShrink, []string{"e", "f", "g"}, "prune set \"s\": would remove more than half of the set: 4 of 4: Service/a, Service/b, Service/c, Service/d"},
		{GuardShrink, []string{"a", "b", "c"}, "=a =b =c -d"},
		{GuardNone, []string{"a"}, "=a -b -c -d"},
	} {
		st := admitted()
		apply(t, st, Options{Set: "s"}, objects(four...)...)
		apply(t, st, Options{}, objects("x", "y", "z")...)
		plan, err := Apply(t.Context(), st, objects(c.now...), Options{Set: "s", Prune: true, Guard: c.guard})
		got := words(plan)
		if err != nil {
			got = err.Error()
		}
		if got != c.want || (err != nil) != errors.Is(err, ErrTooMuch) {
			t.Errorf("guard %d, %v: got %s, want %s", c.guard, c.now, got, c.want)
		}
		if all, _, _ := st.List(t.Context()); err != nil && len(all) != 7 {
			t.Errorf("guard %d: a refused apply left %d objects", c.guard, len(all))
		}
	}
}

// When a restart was asked for is not a matter of files: not to forget it, and not to ask for it again.
func TestApplyKeepsTheRestart(t *testing.T) {
	at := func(when string) func(*v1.Service) {
		return func(s *v1.Service) { s.Metadata.Annotations = map[string]string{v1.RestartedAt: when, "note": "x"} }
	}
	st := admitted()
	if apply(t, st, Options{}, service("web", at("before"))); get(t, st, "web").Metadata.Annotations[v1.RestartedAt] != "" {
		t.Error("a file asked for a restart")
	}
	mem := memstore.New(service("web", at("noon")))
	if got := apply(t, mem, Options{}, service("web", at("before"))); got != "=web" {
		t.Errorf("an older file: %s", got)
	}
	if got := apply(t, mem, Options{}, service("web")); got != "~web" {
		t.Errorf("without a note: %s", got)
	}
	if got := get(t, mem, "web").Metadata.Annotations; len(got) != 1 || got[v1.RestartedAt] != "noon" {
		t.Errorf("annotations %v", got)
	}
}
