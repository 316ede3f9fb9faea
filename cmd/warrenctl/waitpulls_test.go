package warrenctl

import (
	"bytes"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

// On a terminal the numbers are written over the ones before; elsewhere only what changes in words is said.
func TestWaitsShowHowFarPullsAre(t *testing.T) {
	service, task := meta.New[v1.Service]("web"), meta.New[v1.Task]("web-1-1")
	service.Spec.Image, service.Status.Desired = "shop:2", 1
	task.Spec.Service, task.Spec.Image, task.Status.Phase = "web", "shop:2", v1.TaskPreparing
	steps := [][]host.Pull{
		{{Refs: []string{"shop:2"}, Phase: host.PullResolving}},
		{{Refs: []string{"shop:2"}, Phase: host.PullFetching, Done: 3 << 20, Total: 10 << 20, Rate: 1 << 20}, {Refs: []string{"other:1"}}},
		{{Refs: []string{"shop:2"}, Phase: host.PullFetching, Done: 7 << 20, Total: 10 << 20, Rate: 1 << 20}},
		{{Refs: []string{"shop:2"}, Phase: host.PullUnpacking, Done: 10 << 20, Total: 10 << 20}},
		nil,
	}
	const line, over = "service/web: 0 of 1 ready, 0 updated, 1 Preparing", "\x1b[1A\r\x1b[K"
	for live, want := range map[bool]string{
		false: line + "\n" + line + ", pulling shop:2\n" + line + "\n",
		true: "\r\x1b[K" + line + "\n" + over + line + ", resolving shop:2\n" + over + line + ", pulling shop:2 30% 3Mi/10Mi 1Mi/s\n" +
			over + line + ", pulling shop:2 70% 7Mi/10Mi 1Mi/s\n" + over + line + ", unpacking shop:2\n" + over + line + "\n",
	} {
		var out bytes.Buffer
		p := &program{err: &out, live: live, now: time.Now}
		w := p.waiting([]meta.Key{service.Key()})
		if err := w.fetched(steps[0]); err != nil || out.Len() > 0 {
			t.Errorf("before anything is known of the service: %q %v", out.String(), err)
		}
		w.pulls = nil
		service.Status.Updated = 0
		if err := w.all([]meta.Object{service, task}); err != nil {
			t.Fatal(err)
		}
		for _, pulls := range steps {
			if err := w.fetched(pulls); err != nil {
				t.Fatal(err)
			}
		}
		if got := out.String(); got != want {
			t.Errorf("terminal %v:\n%q, want\n%q", live, got, want)
		}
	}
}
