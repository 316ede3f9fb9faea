//go:build e2e

package containerd

import (
	"testing"

	"warren.io/warren/runtime/host/containerd/registry"
)

func source(t *testing.T, c registry.Config) *registry.Source {
	t.Helper()
	s, err := registry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
