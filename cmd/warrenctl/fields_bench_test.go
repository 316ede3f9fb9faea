package warrenctl

import (
	"fmt"
	"io"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
)

// 10,000 tasks, chosen and sorted by fields: the time is that of warrenctl alone.
func BenchmarkFields(b *testing.B) {
	var all []meta.Object
	for i := range 10_000 {
		t := task(fmt.Sprintf("web-%d-%d", i, i), "web", true)
		t.Spec.Node = fmt.Sprintf("n%d", i%100)
		t.Status.Restarts = i % 7
		t.SetDefaults()
		all = append(all, t)
	}
	roots := []*meta.Field{v1.Outline(v1.TaskKind)}
	q := &query{kinds: []*meta.Kind{v1.TaskKind}}
	var err error
	if q.demands, err = demandsOf("spec.node!=n1", roots); err == nil {
		if q.order, err = pathOf(".status.restarts", roots); err == nil {
			q.output = "custom-columns"
			q.columns, err = columnsOf("N:.metadata.name,R:.status.restarts", roots)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	p := &program{out: io.Discard, err: io.Discard, now: time.Now}
	b.ReportAllocs()
	for b.Loop() {
		var kept []meta.Object
		for _, o := range all {
			if q.matches(o) {
				kept = append(kept, o)
			}
		}
		if err := p.objects(q, kept); err != nil {
			b.Fatal(err)
		}
	}
}
