package containerd

import "warren.io/warren/runtime/host"

// remark tells people something, if somebody passes it on.
func (h *Host) remark(r host.Remark) {
	if h.cfg.Remark != nil {
		h.cfg.Remark(r)
	}
}

// Warnings are what is wrong with the images of this machine and does not keep it from working.
func (h *Host) Warnings() []string {
	var all []string
	if w := h.gc.warning(); w != "" {
		all = append(all, w)
	}
	return append(all, h.damaged(h.ctx)...)
}
