package warrenctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/store/grpcstore"
)

// Bounds of the logs of tasks in a bundle.
const (
	bundleLogLines = 200
	bundleLogBytes = 1 << 20
	logsWithin     = time.Minute
)

// secretKind is never in a bundle, whatever this program knows of it.
const secretKind = "Secret"

// gather puts in all parts, those first that are had most surely.
func (v *investigation) gather(ctx context.Context) {
	v.b.add("versions.txt", v.versions())
	v.b.add("ready.txt", v.ready())
	part := func(name string, make func(context.Context) ([]byte, error)) {
		var data []byte
		err := limited(ctx, func(ctx context.Context) (err error) { data, err = make(ctx); return err })
		v.b.miss(name, err)
		if err == nil {
			v.b.add(name, data)
		}
	}
	v.b.miss("node", limited(ctx, v.reports))
	part("graph.txt", v.graph)
	part("images.txt", v.images)
	var all []meta.Object
	v.b.miss("resources", limited(ctx, func(ctx context.Context) (err error) { all, _, err = v.s.List(ctx); return err }))
	v.resources(all)
	v.reasons(ctx, all)
	if v.logs {
		v.taskLogs(ctx, all, part)
	}
}

// taskLogs puts in the ends of the logs of all tasks that are somewhere.
func (v *investigation) taskLogs(ctx context.Context, all []meta.Object, part func(string, func(context.Context) ([]byte, error))) {
	end := time.Now().Add(logsWithin)
	for _, o := range all {
		t, ok := o.(*v1.Task)
		if !ok || t.Spec.Node == "" || ctx.Err() != nil {
			continue
		}
		if time.Now().After(end) {
			v.b.miss("logs", fmt.Errorf("those of %s and of tasks after it were not read, it took too long", t.Metadata.Name))
			return
		}
		part("logs/"+t.Metadata.Name+".log", func(ctx context.Context) ([]byte, error) { return v.log(ctx, t.Metadata.Name) })
	}
}

func (v *investigation) versions() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "warrenctl %s, %s, %s/%s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "warren %s on node %s\ncluster %s, revision %d, leader %v\nasked at %s\n",
		v.info.Version, v.info.Node, v.info.ClusterID, v.info.Revision, v.info.Leader, v.now().UTC().Format(time.RFC3339))
	return b.Bytes()
}

func (v *investigation) ready() []byte {
	t := table{{"CHECK", "OK", "MESSAGE"}}
	for _, c := range v.info.Ready {
		t = append(t, []string{c.Name, fmt.Sprint(c.OK), c.Message})
	}
	var b bytes.Buffer
	t.print(&b)
	return scrubText(b.Bytes())
}

func (v *investigation) graph(ctx context.Context) ([]byte, error) {
	lines, err := v.s.Graph(ctx)
	return []byte(strings.Join(lines, "\n") + "\n"), err
}

func (v *investigation) images(ctx context.Context) ([]byte, error) {
	all, err := v.s.ListImages(ctx)
	t := table{{"NAME", "DIGEST", "BYTES", "PLATFORMS", "CREATED"}}
	for _, i := range all {
		t = append(t, []string{i.Name, i.Digest, fmt.Sprint(i.Size), strings.Join(i.Platforms, ","), i.Created.UTC().Format(time.RFC3339)})
	}
	var b bytes.Buffer
	t.print(&b)
	return scrubText(b.Bytes()), err
}

// reports puts in what the node tells about its process. Long ones come in pieces.
func (v *investigation) reports(ctx context.Context) error {
	name, data := "", []byte(nil)
	flush := func() {
		if len(data) > 0 {
			v.b.add("node/"+name, scrubText(data))
		}
		data = nil
	}
	err := v.s.Reports(ctx, func(r grpcstore.Report) error {
		if n := fileName(r.Name); n != name {
			flush()
			name = n
		}
		if r.Err != "" {
			v.b.miss("node/"+name, errors.New(r.Err))
		}
		if len(data) < maxBundlePart {
			data = append(data, r.Data...)
		}
		return nil
	})
	flush()
	return err
}

// fileName keeps what the other side says within the archive's folder.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, strings.TrimLeft(name, "."))
}

// resources puts in one file of YAML for each kind, and one table of all.
func (v *investigation) resources(all []meta.Object) {
	var overview bytes.Buffer
	for _, k := range v1.Kinds {
		var some []meta.Object
		for _, o := range all {
			if o.Key().Kind == k.Name && k.Name != secretKind {
				some = append(some, redact(o, v.withEnv))
			}
		}
		if len(some) == 0 {
			continue
		}
		some = sorted(k, some)
		t := table{head(k, true)}
		for _, o := range some {
			t = append(t, row(k, o, "", true, v.now()))
		}
		fmt.Fprintf(&overview, "%s\n", k.Plural)
		t.print(&overview)
		overview.WriteString("\n")
		text, err := manifest.YAML(some...)
		v.b.miss("resources/"+k.Plural, err)
		v.b.add("resources/"+k.Plural+".yaml", text)
	}
	v.b.add("overview.txt", overview.Bytes())
}

// log is the end of what a task wrote, with times.
func (v *investigation) log(ctx context.Context, task string) ([]byte, error) {
	var b bytes.Buffer
	err := v.s.Logs(ctx, task, host.LogOptions{Tail: bundleLogLines}, func(l host.LogLine) error {
		if b.Len() < bundleLogBytes {
			fmt.Fprintf(&b, "%s %s %s\n", l.Time.UTC().Format(time.RFC3339Nano), l.Stream, l.Text)
		}
		return nil
	})
	return b.Bytes(), err
}
