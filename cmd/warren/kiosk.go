package main

import (
	"context"
	"errors"
	"fmt"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store"
)

// kioskSet marks what the directory brought, wherever it lies: it may be moved.
const kioskSet = "manifests"

// followManifests keeps the store at what a directory says. Only what this directory brought is ever removed again, and
// never most of it at once, unless as much comes for it: half a copy of the directory looks like that.
func (n *node) followManifests(ctx context.Context) {
	apply := func(ctx context.Context, objects []meta.Object) error {
		ctx = store.As(ctx, "manifests "+n.manifests)
		plan, err := manifest.Apply(ctx, n.late, objects, manifest.Options{Set: kioskSet, Prune: true, Guard: manifest.GuardShrink})
		if errors.Is(err, manifest.ErrTooMuch) {
			err = fmt.Errorf("%w; if it shall be so: warrenctl apply -f %s --set %s --prune --force", err, n.manifests, kioskSet)
		}
		if err == nil && plan.Changes() > 0 {
			n.log.Info("manifests applied", "dir", n.manifests, "changes", plan.Changes())
		}
		return err
	}
	err := manifest.Follow(ctx, n.manifests, apply, func(s manifest.Status) { n.manifestStatus(ctx, s) })
	n.ended("manifests", err)
}

func (n *node) manifestStatus(ctx context.Context, s manifest.Status) {
	n.status.set("manifests", s.Err)
	if s.Err == nil {
		n.log.Info("manifests are good", "status", s.String())
		return
	}
	n.log.Error(s.Err, "manifests are not applied, the last good state stays", "dir", s.Dir)
	n.tell(ctx, true, "ManifestsRefused", s.String())
}
