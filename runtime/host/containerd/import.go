package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/platforms"

	"warren.io/warren/runtime/host"
)

// scoped gives a caller's context our containerd namespace.
func (h *Host) scoped(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, h.namespace)
}

// Import reads an OCI or docker archive, plain, gzip or zstd, and unpacks what it held, so that a start need not.
func (h *Host) Import(ctx context.Context, r io.Reader, o host.ImportOptions) ([]host.Image, error) {
	ctx = h.scoped(ctx)
	plain, err := compression.DecompressStream(r)
	if err != nil {
		return nil, fmt.Errorf("import image: %w", err)
	}
	defer func() { _ = plain.Close() }()
	defer h.gc.nudge() // last of all
	defer h.images.dropKept(context.WithoutCancel(ctx))
	if err := h.images.keepUsed(ctx); err != nil {
		return nil, fmt.Errorf("import image: %w", err)
	}
	found, err := h.client.Import(ctx, plain, client.WithImageRefTranslator(archiveName), client.WithSkipMissing())
	if errors.Is(err, images.ErrEmptyWalk) {
		return nil, fmt.Errorf("import image: the archive has no variant for %s", platforms.DefaultString())
	}
	if err != nil {
		return nil, fmt.Errorf("import image: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("import image: %w", errNoImage)
	}
	list := make([]host.Image, 0, len(found))
	for _, img := range found {
		if err := h.takeImported(ctx, img); err != nil {
			return nil, fmt.Errorf("import image: %w", err)
		}
	}
	if err := h.images.mark(ctx, found, o); err != nil {
		return nil, fmt.Errorf("import image: %w", err)
	}
	for _, img := range found {
		list = append(list, h.images.describe(ctx, img))
	}
	h.images.arrive()
	return list, nil
}

// takeImported keeps an image only if it can run here.
func (h *Host) takeImported(ctx context.Context, img images.Image) error {
	_, err := h.images.ready(ctx, img)
	if err == nil {
		return nil
	}
	return errors.Join(err, h.client.ImageService().Delete(ctx, img.Name))
}

// archiveName makes the full name from what an archive says. One that says only a tag gives no name.
func archiveName(ref string) string {
	name, err := imageName(ref, "")
	if err != nil {
		return ""
	}
	return name
}
