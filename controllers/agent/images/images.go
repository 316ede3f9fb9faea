// Package images tells a machine which images must stay on it however full its disk gets: those that services run, and those
// that their earlier revisions ran.
package images

import (
	"context"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
)

// Name of the controller.
const Name = "agent/images"

// Controller works on the whole set at once.
type Controller struct {
	Cluster string // id of the cluster that this node belongs to
	Host    host.Keeper
}

// Contract implements control.Controller.
func (Controller) Contract() control.Contract {
	return control.Contract{
		Name: Name, Runs: control.OnEveryNode,
		Reads: []control.Input{{Kind: "Service", Items: imagesChanged}, {Kind: "Cluster"}},
	}
}

// imagesChanged leaves out most changes of a service's status.
func imagesChanged(old, new meta.Object) []string {
	if old != nil && new != nil && slices.Equal(needs(old.(*v1.Service)), needs(new.(*v1.Service))) {
		return nil
	}
	return control.One(old, new)
}

// Reconcile implements control.Controller.
func (c Controller) Reconcile(ctx context.Context, tx *control.Tx, _ string) (control.Result, error) {
	// A store that was emptied or belongs to others is no reason to give anything up.
	if cluster, ok := control.Get[v1.Cluster](tx, v1.ClusterName); !ok || cluster.Spec.ID != c.Cluster {
		return control.Result{}, nil
	}
	all := []string{}
	for _, s := range control.List[v1.Service](tx) {
		all = append(all, needs(s)...)
	}
	slices.Sort(all)
	return control.Result{}, c.Host.Protect(ctx, slices.Compact(all))
}

// needs are the images of a service: by name until it is known what the name means, and by digest the present one and those
// before it.
func needs(s *v1.Service) []string {
	out := []string{s.Spec.Image}
	if _, digest, ok := strings.Cut(s.Spec.Image, "@"); ok {
		out = append(out, digest)
	}
	if d := s.Status.Image.Digest; d != "" {
		out = append(out, d)
	}
	return append(out, s.Status.PreviousImages...)
}
