package warrenctl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"sigs.k8s.io/yaml"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store/grpcstore"
)

// imageOutputs are the forms in which images are printed, which are no resources.
const imageOutputs = "wide, json, yaml or name"

// areImages tells whether get is asked for the node's images.
func areImages(words []string) bool {
	return len(words) > 0 && (strings.EqualFold(words[0], "images") || strings.EqualFold(words[0], "image"))
}

// getImages lists what is on the node and what is on its way there.
func (p *program) getImages(c *cli.Context) error {
	if c.Args().Len() > 1 {
		return usagef("%q after images; all of them are listed", c.Args().Get(1))
	}
	for _, f := range []string{"selector", "field-selector", "sort-by"} {
		if c.IsSet(f) {
			return usagef("images know no --%s", f)
		}
	}
	form := c.String("output")
	if !slices.Contains([]string{"", "wide", "json", "yaml", "name"}, form) {
		return usagef("output %q is not known for images; use %s", form, imageOutputs)
	}
	if c.Bool("watch") && form != "" {
		return usagef("images are watched as a table; leave out --output")
	}
	s, err := p.server(c)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return p.watchImages(c.Context, s)
	}
	return p.showImages(c.Context, s, form)
}

// imageItem is an image in JSON and YAML: one that is here, or one that is being fetched.
type imageItem struct {
	host.Image
	Pull *host.Pull `json:"pull,omitempty"`
}

func itemOf(u host.Pull) imageItem {
	return imageItem{Image: host.Image{Name: u.Name, Size: u.Total, Platforms: []string{}, Created: u.Started}, Pull: &u}
}

func (p *program) showImages(ctx context.Context, s *grpcstore.Store, form string) error {
	here, err := s.ListImages(ctx)
	if err != nil {
		return err
	}
	items := []imageItem{}
	for _, i := range here {
		items = append(items, imageItem{Image: i})
	}
	for _, u := range pullsOf(ctx, s) {
		items = append(items, itemOf(u))
	}
	switch form {
	case "json", "yaml":
		return p.imageText(items, form)
	case "name":
		for _, i := range items {
			p.printf("image/%s\n", i.Name)
		}
		return nil
	}
	if len(items) == 0 {
		p.note("no images")
	}
	append(table{imageHead}, p.imageRows(items, form == "wide")...).print(p.out)
	return nil
}

// pullsOf returns what is being fetched, or nothing where that is not known: progress is no reason to fail.
func pullsOf(ctx context.Context, s *grpcstore.Store) []host.Pull {
	all, err := s.Pulls(ctx)
	if err != nil {
		return nil
	}
	return all
}

func (p *program) imageText(items []imageItem, form string) error {
	list := struct {
		APIVersion string      `json:"apiVersion"`
		Kind       string      `json:"kind"`
		Items      []imageItem `json:"items"`
	}{meta.APIVersion, meta.ListKind, items}
	var text []byte
	var err error
	if form == "json" {
		if text, err = json.MarshalIndent(list, "", "  "); err == nil {
			text = append(text, '\n')
		}
	} else {
		text, err = yaml.Marshal(list)
	}
	p.printf("%s", text)
	return err
}

var imageHead = []string{"NAME", "DIGEST", "SIZE", "PLATFORMS", "PINNED", "STATUS", "AGE"}

func (p *program) imageRows(items []imageItem, wide bool) (t table) {
	for _, i := range items {
		digest, status := i.Digest, cmp.Or(i.Status, "Complete")
		if !wide {
			digest = digest[:min(len(digest), 19)]
		}
		if i.Pull != nil {
			status = pullStatus(*i.Pull)
		}
		t = append(t, []string{i.Name, cmp.Or(digest, "-"), v1.Size(meta.Bytes(i.Size)), cmp.Or(strings.Join(i.Platforms, ","), "-"),
			map[bool]string{true: "yes", false: "no"}[i.Pinned], status, v1.Age(i.Created, p.now())})
	}
	return t
}

// pullStatus says how far a pull is: Pulling 42% 12Mi/30Mi 3Mi/s.
func pullStatus(u host.Pull) string {
	if u.Phase != host.PullFetching || u.Total == 0 {
		return string(u.Phase)
	}
	text := fmt.Sprintf("%s %d%% %s/%s", u.Phase, 100*u.Done/u.Total, v1.Size(meta.Bytes(u.Done)), v1.Size(meta.Bytes(u.Total)))
	if u.Rate > 0 {
		text += " " + v1.Size(meta.Bytes(u.Rate)) + "/s"
	}
	return text
}

// pullFor finds the pull that a task waits for, which names its image as its manifest does.
func pullFor(all []host.Pull, image string) (host.Pull, bool) {
	i := slices.IndexFunc(all, func(u host.Pull) bool { return slices.Contains(u.Refs, image) })
	if i < 0 {
		return host.Pull{}, false
	}
	return all[i], true
}

// pulling says how far the image is that a task waits for.
func (p *program) pulling(o meta.Object) string {
	t, ok := o.(*v1.Task)
	if !ok || t.Status.Phase != v1.TaskPreparing {
		return ""
	}
	u, ok := pullFor(p.pulls, t.Spec.Image)
	if !ok {
		return ""
	}
	return pullStatus(u)
}
