package reconciler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// newTask makes the task with the next number for a slot. Its name tells service, slot and number: web-3-7.
func (d *decision) newTask(s slot) *v1.Task {
	place := strconv.Itoa(s.number)
	if s.node != "" {
		place = strings.TrimRight(s.node[:min(len(s.node), 12)], "-.")
	}
	t := meta.New[v1.Task](fmt.Sprintf("%s-%s-%d", d.svc.Metadata.Name, place, d.status.Count))
	t.Metadata.Owner = meta.OwnerOf(d.svc)
	t.Metadata.Labels = map[string]string{}
	for k, v := range d.svc.Spec.Labels {
		t.Metadata.Labels[k] = v
	}
	t.Spec = v1.TaskSpec{
		Service: d.svc.Metadata.Name, Slot: s.number, OnlyNode: s.node,
		TemplateHash: d.hash, TaskTemplate: *meta.CloneOf(&d.svc.Spec.TaskTemplate),
		ImageDigest: d.image.Digest, Platforms: d.image.Platforms,
	}
	return t
}

func slotOf(t *v1.Task) slot { return slot{number: t.Spec.Slot, node: t.Spec.OnlyNode} }

// countOf reads the number at the end of a task's name.
func countOf(t *v1.Task) int64 {
	n := t.Metadata.Name
	c, _ := strconv.ParseInt(n[strings.LastIndexByte(n, '-')+1:], 10, 64)
	return c
}

// learnImage takes over what the first task of this template found out about the image, so that all others use the same.
func (d *decision) learnImage() {
	d.image = d.svc.Status.Image
	if d.image.Template != d.hash {
		d.status.PreviousImages = earlier(d.status.PreviousImages, d.image.Digest)
		d.image = v1.ServiceImage{Template: d.hash}
		if _, digest, ok := strings.Cut(d.svc.Spec.Image, "@"); ok {
			d.image.Digest = digest
		}
	}
	for _, t := range d.mine() {
		if d.outdated(t) {
			continue
		}
		if d.image.Digest == "" {
			d.image.Digest = t.Status.ImageDigest
		}
		if len(d.image.Platforms) == 0 {
			d.image.Platforms = t.Status.Platforms
		}
		d.pilot = d.pilot || !d.lost(t) && !(t.Status.Phase == v1.TaskRejected && len(t.Status.Platforms) > 0)
	}
	d.status.PreviousImages = settled(d.status.PreviousImages, d.image.Digest)
}

// earlier puts the image of the template that was left in front of those of the templates before it.
func earlier(images []string, left string) []string {
	if left == "" {
		return images
	}
	rest := slices.DeleteFunc(slices.Clone(images), func(i string) bool { return i == left })
	return append([]string{left}, rest...)
}

// settled bounds what is remembered. The present image is none of the earlier ones; until it is known any of them may be it,
// so that one more is kept.
func settled(images []string, present string) []string {
	most := v1.KeptImages
	if present == "" {
		most++
	}
	images = slices.DeleteFunc(slices.Clone(images), func(i string) bool { return i == present })
	return images[:min(len(images), most)]
}
