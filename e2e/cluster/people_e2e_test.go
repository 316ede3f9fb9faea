//go:build e2e

package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPeople: anna logs in from a machine that is no node, works as far as her role goes, and is out when she is removed.
func TestPeople(t *testing.T) {
	c := newCluster(t)
	m, w := c.machine("m"), c.machine("w")
	m.manager()
	m.awaitNodes("Ready", "m")
	config := filepath.Join(t.TempDir(), "home", "config.yaml")
	anna := func(args ...string) (string, string, error) {
		return w.try(append([]string{"--config", config, "--context", "lab"}, args...)...)
	}
	must := func(what string, args ...string) {
		t.Helper()
		if out, errs, err := anna(args...); err != nil || !strings.Contains(out, what) {
			t.Errorf("warrenctl %s: %v %s%s", strings.Join(args, " "), err, out, errs)
		}
	}
	refused := func(what string, args ...string) {
		t.Helper()
		if out, errs, err := anna(args...); err == nil || !strings.Contains(errs, what) {
			t.Errorf("warrenctl %s: %v %s%s", strings.Join(args, " "), err, out, errs)
		}
	}
	token := strings.TrimSpace(m.ctl("token", "create", "--role", "viewer", "--user", "anna"))
	must("logged in as anna (viewer)", "login", m.address(), "--token", token)
	must("viewer", "whoami")
	must("m ", "get", "nodes")
	refused("takes the role operator", "delete", "service/web")
	m.ctl("user", "set-role", "anna", "operator")
	manifest := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(manifest, []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	c.await("anna may apply", func() bool { _, _, err := anna("apply", "-f", manifest); return err == nil })
	must("web", "get", "services")
	hole := c.machine("h")
	if err := hole.Cut(); err != nil {
		t.Fatal(err)
	}
	must("changed", "config", "set-context", "lab", "--servers", m.Address.Addr().String()+":1,"+hole.address()+","+m.address())
	began := time.Now()
	must("web", "get", "services")
	t.Logf("past an address that refuses and one that is a black hole in %s", time.Since(began).Round(time.Millisecond))
	refused("takes the role admin", "token", "create", "--role", "admin")
	refused("takes the role admin", "get", "tokens")
	if out := m.ctl("audit"); !strings.Contains(out, "anna (operator) created service/web") || !strings.Contains(out, "token "+strings.Split(token, ".")[2]+" created user/anna") {
		t.Errorf("audit:\n%s", out)
	}
	watch := w.Command(t.Context(), warrenctl, "--config", config, "--context", "lab", "get", "services", "-w")
	var out, errs text
	watch.Stdout, watch.Stderr = &out, &errs
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- watch.Wait() }()
	c.await("anna watches", func() bool { return strings.Contains(out.String(), "web") })
	m.ctl("user", "rm", "anna")
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("a watch of somebody who was removed ends well: %s", errs.String())
		}
	case <-time.After(patience):
		_ = watch.Process.Kill()
		t.Errorf("a watch of somebody who was removed goes on")
	}
	refused("anna is no user of this cluster any more", "get", "services")
	m.ctl("get", "services")
	if data, _ := os.ReadFile(m.logs); bytes.Count(data, []byte("anna is no user")) > 3 {
		t.Errorf("the manager logs each refusal:\n%s", data)
	}
}

// text is an output that can be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
