package containerd

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestSystemCallsOfTheArchitecturesThatTheKernelHas(t *testing.T) {
	s, err := oci.GenerateSpec(namespaces.WithNamespace(context.Background(), "test"), nil, &containers.Container{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	got := systemCalls(s).Architectures
	if runtime.GOARCH != "amd64" {
		return
	}
	for arch, want := range map[specs.Arch]bool{specs.ArchX86_64: true, specs.ArchX86: true, specs.ArchX32: x32()} {
		if slices.Contains(got, arch) != want {
			t.Errorf("%s is in the profile: %t, want %t", arch, !want, want)
		}
	}
}
