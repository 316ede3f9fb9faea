package containerd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// collectFolders makes containerd remove the files of root file systems and images that it has no record of any more.
// It removes the record first and the files later, and after a kill in between it would not look for them until the next
// removal of the same sort, which may never come. So something small of each sort is made and removed.
func (h *Host) collectFolders(ctx context.Context) error {
	if h.daemon == nil {
		return nil // an existing containerd was not killed with us
	}
	const name = snapshotPrefix + "nothing"
	roots := h.client.SnapshotService(snapshotter)
	_, err := roots.Prepare(ctx, name, "")
	if err == nil || errdefs.IsAlreadyExists(err) {
		err = roots.Remove(ctx, name)
	}
	files, data := h.client.ContentStore(), []byte("warren: nothing\n")
	blob := ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromBytes(data), Size: int64(len(data))}
	written := content.WriteBlob(ctx, files, name, bytes.NewReader(data), blob)
	if written == nil {
		written = files.Delete(ctx, blob.Digest)
	}
	// It may have removed them by itself in between, which is as good.
	return wrap("collect folders of nobody", errors.Join(unlessGone(err), unlessGone(written)))
}

// dropHalfMade removes what containerd had just begun to write when it was killed: it can neither go on with a file whose
// name it had not noted yet nor remove it. It must not be running.
func dropHalfMade(root string) error {
	begun, err := filepath.Glob(filepath.Join(root, "io.containerd.content.v1.content", "ingest", "*"))
	errs := []error{err}
	for _, dir := range begun {
		if name, err := os.ReadFile(filepath.Join(dir, "ref")); len(name) == 0 && (err == nil || os.IsNotExist(err)) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

func unlessGone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
