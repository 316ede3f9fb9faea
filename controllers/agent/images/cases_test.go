package images

import (
	"context"
	"testing"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
)

// keeper notes what it is told.
type keeper struct{ c *controltest.Case }

// Protect implements host.Keeper.
func (k keeper) Protect(_ context.Context, images []string) error {
	k.c.Seen = images
	return nil
}

func TestCases(t *testing.T) {
	controltest.Run(t, func(_ *testing.T, c *controltest.Case) control.Controller {
		return Controller{Cluster: "x", Host: keeper{c}}
	})
}

// Progress of an update is no reason to ask for anything; another image is.
func TestImagesChanged(t *testing.T) {
	a := meta.New[v1.Service]("web")
	a.Spec.Image = "hello:1"
	for name, c := range map[string]struct {
		change func(*v1.Service)
		want   int
	}{
		"ready":    {func(s *v1.Service) { s.Status.Ready = 3 }, 0},
		"image":    {func(s *v1.Service) { s.Spec.Image = "hello:2" }, 1},
		"digest":   {func(s *v1.Service) { s.Status.Image.Digest = "sha256:a" }, 1},
		"previous": {func(s *v1.Service) { s.Status.PreviousImages = []string{"sha256:a"} }, 1},
	} {
		b := meta.CloneOf(a)
		c.change(b)
		if got := len(imagesChanged(a, b)); got != c.want {
			t.Errorf("%s: %d items", name, got)
		}
	}
	if len(imagesChanged(nil, a)) != 1 || len(imagesChanged(a, nil)) != 1 {
		t.Error("a service that comes or goes counts")
	}
}
