//go:build e2e

package node

import (
	"os"
	"strconv"
	"testing"

	v1 "warren.io/warren/apis/v1"
)

// TestTaskThatEndsWhileWarrenIsAway: how it ended is known when warren is back, not only that it did.
func TestTaskThatEndsWhileWarrenIsAway(t *testing.T) {
	t.Parallel()
	w := running(t)
	w.apply(service("moody", image+`args: ["-fail-after", "3s"]`))
	w.apply(service("once", image+"args: [\"-fail-after\", \"3s\"]\nrestart: {policy: Never}"))
	moody, once := w.one("moody", "runs", ready), w.one("once", "runs", ready)
	w.terminate()
	for _, x := range []*v1.Task{moody, once} {
		w.await(x.Metadata.Name+" ends", func() bool {
			_, err := os.Readlink("/proc/" + strconv.Itoa(x.Status.PID) + "/exe")
			return err != nil
		})
	}
	w.start()
	w.ready()
	ended := func(x *v1.Task) bool { return x.Status.ExitCode != nil }
	for _, name := range []string{"moody", "once"} {
		s := w.one(name, "has ended", ended).Status
		if *s.ExitCode != 1 || s.ExitReason != "Exited" {
			t.Errorf("%s ended with %d, %s: %s", name, *s.ExitCode, s.ExitReason, s.Message)
		}
	}
	again := w.one("moody", "runs again", func(x *v1.Task) bool { return x.Status.Restarts >= 1 && ready(x) })
	if again.Metadata.Name != moody.Metadata.Name {
		t.Errorf("%s stands for %s", again.Metadata.Name, moody.Metadata.Name)
	}
	contains(t, "log", w.ctl("logs", moody.Metadata.Name, "--previous"), "failing after 3s as told")
}
