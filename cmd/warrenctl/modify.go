package warrenctl

import (
	"context"
	"errors"
	"maps"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// tries of a change while others write the same objects.
const tries = 8

// modify changes objects in one commit, all or none, and says for each what was done to it: change works on a copy and
// returns that word. When somebody else writes one of them meanwhile, it looks again.
func (p *program) modify(ctx context.Context, s store.Store, keys []meta.Key, change func(meta.Object) (string, error)) error {
	for n := 1; ; n++ {
		text, err := modifyOnce(ctx, s, keys, change)
		if err == nil {
			p.printf("%s", text)
			return nil
		}
		if n == tries || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func modifyOnce(ctx context.Context, s store.Store, keys []meta.Key, change func(meta.Object) (string, error)) (string, error) {
	var ops []store.Op
	var wrong []error
	text, seen := "", map[meta.Key]bool{}
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		was, err := s.Get(ctx, key)
		if err != nil {
			wrong = append(wrong, about(key, err))
			continue
		}
		o := was.Clone()
		done, err := change(o)
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case unchanged(was, o):
			text += lower(key.Kind, key.Name) + " unchanged\n"
		default:
			ops = append(ops, store.UpdateOp(o))
			text += lower(key.Kind, key.Name) + " " + done + "\n"
		}
	}
	if len(wrong) > 0 || len(ops) == 0 {
		return text, errors.Join(wrong...)
	}
	_, err := s.Commit(ctx, ops...)
	return text, err
}

// unchanged tells whether two versions of an object say the same, as far as people write it.
func unchanged(a, b meta.Object) bool {
	x, y := a.Meta(), b.Meta()
	return !meta.SpecChanged(a, b) && maps.Equal(x.Labels, y.Labels) && maps.Equal(x.Annotations, y.Annotations)
}
