//go:build e2e

package kill

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
)

const (
	image       = "warren.io/hello:1"
	versionName = "VERSION" // the variable by which templates differ
)

var names = []string{"web", "api", "db", "mail", "shop"}

// service is what a test asks of one. slow ones take a moment to stop.
type service struct {
	replicas, version int
	slow              bool
}

func (s service) String() string {
	text := fmt.Sprintf("%d of version %d", s.replicas, s.version)
	if s.slow {
		text += ", slow"
	}
	return text
}

// object is the resource that asks for s.
func (s service) object(name string) *v1.Service {
	short := func(d time.Duration) *meta.Duration { return new(meta.Duration(d)) }
	o := meta.New[v1.Service](name)
	o.Spec.Image, o.Spec.Replicas = image, &s.replicas
	o.Spec.Env = v1.Env{{Name: versionName, Value: strconv.Itoa(s.version)}}
	// A task that is killed again and again shall not keep the test waiting.
	o.Spec.Restart = v1.Restart{Delay: short(100 * time.Millisecond), MaxDelay: short(400 * time.Millisecond), Window: short(2 * time.Second)}
	if s.slow {
		o.Spec.Args = []string{"-stop-slow", "250ms"}
	}
	o.SetDefaults()
	return o
}

type services map[string]service

// change is one write: what shall become of some services, all or none. nil means deleted.
type change map[string]*service

func (c change) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] == nil {
			parts = append(parts, "delete "+name)
		} else {
			parts = append(parts, fmt.Sprintf("%s: %s", name, c[name]))
		}
	}
	return "{" + strings.Join(parts, "; ") + "}"
}

// change decides the next one: one service, or several at once, some of which may not be there to be deleted.
func (w *world) change(rng *random) change {
	c := change{}
	several := 1
	if rng.chance(25) {
		several = 2 + rng.IntN(3)
	}
	remove := rng.chance(25)
	for _, i := range rng.Perm(len(names))[:several] {
		c[names[i]] = nil
		if !remove {
			c[names[i]] = w.wish(rng)
		}
	}
	return c
}

// wish is what becomes of a service. Half of the versions are the one that came before, so that there is scaling, too.
func (w *world) wish(rng *random) *service {
	if rng.chance(50) {
		w.last++
	}
	return &service{replicas: rng.IntN(4), version: w.last, slow: rng.chance(20)}
}

// model is what must be there. A write that was cut off leaves two possibilities until the next look.
type model struct {
	now     services
	perhaps services // also possible; nil if only now is
	before  services // at the beginning of the round
	asked   []change // in this round, acknowledged or not
}

func (m *model) begin() { m.before, m.asked = maps.Clone(m.now), nil }

func (s services) with(c change) services {
	out := maps.Clone(s)
	for name, svc := range c {
		if svc == nil {
			delete(out, name)
		} else {
			out[name] = *svc
		}
	}
	return out
}

// untouched says whether nothing in this round was a reason to replace the task in a slot of a service.
func (m *model) untouched(name string, slot int) bool {
	before := m.before[name]
	for _, c := range m.asked {
		svc, named := c[name]
		if named && (svc == nil || svc.replicas < slot || svc.version != before.version || svc.slow != before.slow) {
			return false
		}
	}
	return true
}

// matches says whether the store holds exactly these.
func (s services) matches(stored map[string]*v1.Service) error {
	for name, svc := range s {
		got, there := stored[name]
		if !there {
			return fmt.Errorf("service %s is missing, should be %s", name, svc)
		}
		if want := svc.object(name); asJSON(got.Spec) != asJSON(want.Spec) {
			return fmt.Errorf("service %s is %s, should be %s", name, asJSON(got.Spec), asJSON(want.Spec))
		}
	}
	for name := range stored {
		if _, there := s[name]; !there {
			return fmt.Errorf("service %s is there, was deleted or never made", name)
		}
	}
	return nil
}

// accept compares the model with the store and decides what a write that was cut off came to.
func (m *model) accept(stored map[string]*v1.Service) error {
	err := m.now.matches(stored)
	if m.perhaps == nil {
		return err
	}
	if err != nil {
		if other := m.perhaps.matches(stored); other != nil {
			return fmt.Errorf("%w; nor as if the last write had been applied: %w", err, other)
		}
		m.now = m.perhaps
	}
	m.perhaps = nil
	return nil
}

// write makes the changes of a round one after the other, until one fails. It says when it begins one.
func (w *world) write(r *round, begun chan<- int) error {
	defer close(begun)
	for i, c := range r.changes {
		if i > 0 {
			time.Sleep(r.pause) // so that some come late, while the first are being acted on
		}
		begun <- i + 1
		w.model.asked = append(w.model.asked, c)
		err := w.node.apply(c, w.model.now)
		next := w.model.now.with(c)
		if err != nil {
			r.unknown++
			w.model.perhaps = next
			return fmt.Errorf("write %s: %w", c, err)
		}
		r.acknowledged++
		w.model.now = next
	}
	return nil
}

// apply does in one commit what warrenctl does for apply -f and delete.
func (n *node) apply(c change, now services) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleLimit)
	defer cancel()
	var objects []meta.Object
	var remove []store.Op
	for _, name := range slices.Sorted(maps.Keys(c)) {
		_, there := now[name]
		switch {
		case c[name] != nil:
			objects = append(objects, c[name].object(name))
		case there:
			remove = append(remove, store.Op{Verb: store.Delete, Key: meta.Key{Kind: "Service", Name: name}, Guard: store.Any})
		}
	}
	if len(objects) > 0 {
		_, err := manifest.Apply(ctx, n.store, objects, manifest.Options{})
		return err
	}
	if len(remove) > 0 {
		_, err := n.store.Commit(ctx, remove...)
		return err
	}
	return nil
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
