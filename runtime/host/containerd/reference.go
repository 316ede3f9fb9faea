package containerd

import (
	"fmt"

	"github.com/distribution/reference"
)

// imageName is the full form of what people write: busybox is docker.io/library/busybox:latest. A digest, from ref itself
// or pinned, takes the place of the tag.
func imageName(ref, pinned string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("%w: image %q: %v", errInvalid, ref, err)
	}
	if pinned == "" {
		return named.String(), nil
	}
	full, err := reference.ParseDockerRef(reference.TrimNamed(named).String() + "@" + pinned)
	if err != nil {
		return "", fmt.Errorf("%w: image %q with digest %q: %v", errInvalid, ref, pinned, err)
	}
	return full.String(), nil
}

// pinnedDigest is the digest that must be run: the one that was pinned, else the one in ref, else none.
func pinnedDigest(ref, pinned string) string {
	if pinned != "" {
		return pinned
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return ""
	}
	if d, ok := named.(reference.Digested); ok {
		return d.Digest().String()
	}
	return ""
}
