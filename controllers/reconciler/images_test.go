package reconciler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// The last two images of earlier templates are remembered, whatever else changes in between, and the present one is none of them.
func TestPreviousImages(t *testing.T) {
	svc := meta.New[v1.Service]("web")
	svc.Metadata.UID = 7
	svc.Spec.Image = "a:1"
	svc.SetDefaults()
	w := world{svc: svc, nodes: []*v1.Node{ready("n1")}, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), room: 100}
	for i, c := range []struct{ image, digest, env, want string }{
		{"a:1", "A", "", "[]"},
		{"a:2", "B", "", "[A]"},
		{"a:2", "B", "x", "[A]"}, // another template of the same image
		{"a:3", "C", "x", "[B A]"},
		{"a:3", "C", "y", "[B A]"},
		{"a:4", "D", "y", "[C B]"},
		{"a:3", "C", "y", "[D B]"},  // back
		{"a:5", "", "y", "[C D B]"}, // as long as it is not known what it is, it may be any of them
		{"a:6", "", "y", "[C D B]"}, // never found
		{"a@C", "C", "y", "[D B]"},  // by its digest
		{"a:6", "F", "y", "[C D]"},
	} {
		svc.Spec.Image = c.image
		svc.Spec.Env = []v1.EnvVar{{Name: "A", Value: c.env}}
		for range 4 {
			w = step(w, c.digest)
		}
		if got := fmt.Sprint(w.svc.Status.PreviousImages); got != c.want {
			t.Errorf("%d: %s: %s, want %s", i, c.image, got, c.want)
		}
		before := slices.Clone(w.svc.Status.PreviousImages)
		if p := decide(w); !slices.Equal(p.status.PreviousImages, before) {
			t.Errorf("%d: it does not come to rest: %v", i, p.status.PreviousImages)
		}
	}
}
