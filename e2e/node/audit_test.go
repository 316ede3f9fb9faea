//go:build e2e

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"warren.io/warren/e2e/hosts"
)

// Who changed what is in a file that outlives kill -9; the values of variables never are, and a directory in its way holds up
// no change but is counted.
func TestAudit(t *testing.T) {
	w := running(t)
	w.apply(service("web", image+"env: {PASSWORD: hunter2}"), "--wait")
	w.apply(service("web", image+"env: {PASSWORD: hunter3}\nreplicas: 2"), "--wait")
	w.ctl("node", "cordon", "n1")
	path := filepath.Join(w.host.DataDir, "audit", "audit.log")
	read := func() string {
		data, _ := os.ReadFile(path)
		return string(data)
	}
	w.await("all is in the log", func() bool { return strings.Count(read(), "\n") == 3 })
	if text := read(); strings.Contains(text, "hunter") || !strings.Contains(text, `"fields":["spec.env[PASSWORD]`) || !strings.Contains(text, `"author":"user root"`) {
		t.Errorf("the log is\n%s", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the log: %v %v", info, err)
	}
	if err := w.host.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	<-w.ended
	kept := read()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // it cannot be written now
		t.Fatal(err)
	}
	w.start()
	w.ready()
	w.ctl("delete", "service/web")
	w.await("the loss is counted", func() bool { return strings.Contains(w.api("/metrics").body, "\nwarren_audit_lost_total 1\n") })
	w.logged("audit log cannot be written")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	w.ctl("node", "uncordon", "n1")
	w.await("the log goes on", func() bool { return strings.Count(read(), "\n") == 4 && strings.HasPrefix(read(), kept) })
	out := w.ctl("audit", "--for", "node/n1")
	contains(t, "audit", out, "user root changed node/n1: spec.unschedulable (revision ")
	if strings.Count(out, "\n") != 2 {
		t.Errorf("audit of the node: %s", out)
	}
	if out := w.ctl("audit", "--tail", "1"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "node/n1") {
		t.Errorf("the last of the audit: %s", out)
	}
}
