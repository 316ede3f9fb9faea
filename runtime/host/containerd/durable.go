package containerd

import (
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/diff"
)

// durably makes the files of a layer reach the disk before containerd notes that the layer is unpacked. Without it a power cut
// soon after leaves a layer that counts as whole and has empty files. Where containerd runs inside, its configuration says the
// same for all layers; this is for one that was there before us.
var durably = client.WithUnpackApplyOpts(diff.WithSyncFs(true))
