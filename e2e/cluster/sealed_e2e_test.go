//go:build e2e

package cluster

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
)

func (m *machine) key(name string) string { return filepath.Join(m.DataDir, "keys", name) }

func (m *machine) has(name string) bool {
	_, err := os.Stat(m.key(name))
	return err == nil
}

// restarted ends warren as a crash does, and starts it.
func (m *machine) restarted(args ...string) {
	m.c.t.Helper()
	if err := m.Kill(hosts.Warren); err != nil {
		m.c.t.Fatal(err)
	}
	m.warren(append([]string{"run", "--listen", m.address()}, args...)...)
}

// TestSealedAuthority: the key that signs is on no disk but sealed, and nobody is shown even that. With a wrong unlock key all goes
// on but what needs it.
func TestSealedAuthority(t *testing.T) {
	c := newCluster(t)
	m, a := c.machine("m"), c.machine("a")
	unlock := filepath.Join(t.TempDir(), "unlock")
	if err := os.WriteFile(unlock, []byte(strings.ToLower(seal.NewUnlockKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.warren("run", "--node-name", "m", "--listen", m.address(), "--unlock-key-file", unlock)
	m.awaitNodes(v1.NodeReady, "m")
	c.await("the authority's key is sealed", func() bool { return m.has("ca.sealed") && !m.has("ca.key") })
	a.join(m)
	m.awaitNodes(v1.NodeReady, "a")
	c.images(m, a)
	m.apply(strings.Replace(web, "replicas: 3", "replicas: 2", 1))
	before := m.settled(2, "m", "a")
	if out := m.ctl("get", "authorities", "-o", "yaml") + m.ctl("get", "authorities"); !strings.Contains(out, "BEGIN CERTIFICATE") || strings.Contains(out, "sealed") || strings.Contains(out, "dataKey") {
		t.Errorf("people are shown\n%s", out)
	}
	if out := a.ctl("get", "authorities", "-o", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("a worker is shown %s", out)
	}
	if _, errs, err := m.try("delete", "authority/cluster"); err == nil {
		t.Errorf("the authority can be deleted: %s", errs)
	}
	m.nowhereInPlain()
	m.locked(before)
	m.restarted("--unlock-key-file", unlock)
	m.awaitNodes(v1.NodeReady, "m", "a")
	c.await("the right unlock key mends it", func() bool {
		_, _, err := m.try("token", "create", "--role", "worker")
		return err == nil
	})
	c.await("it is kept", func() bool {
		want, _ := os.ReadFile(unlock)
		kept, _ := os.ReadFile(m.key("unlock.key"))
		return strings.EqualFold(string(kept), string(want))
	})
	c.same("locked and unlocked", before, m.settled(2, "m", "a"))
}

// locked runs the manager with a wrong unlock key.
func (m *machine) locked(before []v1.Task) {
	t := m.c.t
	if err := os.WriteFile(m.key("unlock.key"), []byte(seal.NewUnlockKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.restarted()
	m.awaitNodes(v1.NodeReady, "m", "a")
	_, errs, err := m.try("token", "create", "--role", "worker")
	if err == nil || !strings.Contains(errs, "the unlock key is not the one of this cluster") {
		t.Errorf("a token with a wrong unlock key: %v %s", err, errs)
	}
	m.c.same("a wrong unlock key", before, m.settled(2, "m", "a"))
	if _, errs, err := m.try("--server", m.address(), "--keys", filepath.Join(m.DataDir, "keys"), "get", "nodes"); err != nil {
		t.Errorf("an administrator with keys: %s", errs)
	}
}

// nowhereInPlain looks for the private key in all that the manager has on disk. It takes it from a copy that is opened here.
func (m *machine) nowhereInPlain() {
	t := m.c.t
	t.Helper()
	for _, n := range []string{"ca.key", "server.key", "admin.key"} {
		if n != "ca.key" && !m.has(n) || n == "ca.key" && m.has(n) {
			t.Errorf("%s is there: %v", n, m.has(n))
		}
	}
	der := m.opensAuthority()
	block, err := x509.ParseECPrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := block.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	_ = filepath.WalkDir(m.DataDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		data, _ := os.ReadFile(path)
		if bytes.Contains(data, raw) || bytes.Contains(data, text[40:80]) {
			t.Errorf("%s has the authority's key in plain", path)
		}
		return nil
	})
}

// TestKilledWhileSealing: killed at any step of its first start, the manager has one authority in the end, and it is sealed.
func TestKilledWhileSealing(t *testing.T) {
	c := newCluster(t)
	m := c.machine("m")
	var first []byte
	for _, file := range []string{"ca.key", "ca.crt", "server.key", "unlock.key", "ca.sealed"} {
		m.warren("run", "--node-name", "m", "--listen", m.address())
		for deadline := time.Now().Add(patience); !m.has(file); {
			if time.Now().After(deadline) {
				t.Fatalf("%s does not come", file)
			}
		}
		if err := m.Kill(hosts.Warren); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed when %s came: ca.key %v, ca.sealed %v", file, m.has("ca.key"), m.has("ca.sealed"))
		cert, err := os.ReadFile(m.key("ca.crt"))
		if first == nil {
			first = cert
		}
		if err == nil && !bytes.Equal(cert, first) {
			t.Errorf("after a kill at %s there is another authority", file)
		}
	}
	m.manager()
	m.awaitNodes(v1.NodeReady, "m")
	c.await("the key is sealed", func() bool { return m.has("ca.sealed") && !m.has("ca.key") })
	m.ctl("token", "create", "--role", "worker")
	if cert, _ := os.ReadFile(m.key("ca.crt")); !bytes.Equal(cert, first) {
		t.Error("there is another authority")
	}
}

// opensAuthority is the private key, in DER, by the unlock key and the sealed copy.
func (m *machine) opensAuthority() []byte {
	t := m.c.t
	t.Helper()
	text, err := os.ReadFile(m.key("ca.sealed"))
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := os.ReadFile(m.key("unlock.key"))
	if err != nil {
		t.Fatal(err)
	}
	a, ring := meta.New[v1.Authority](""), &seal.Ring{}
	if err := json.Unmarshal(text, a); err != nil {
		t.Fatal(err)
	}
	if err := ring.Unlock(a.Spec.DataKey, strings.TrimSpace(string(unlock))); err != nil {
		t.Fatal(err)
	}
	return store.Opened(a, ring).(*v1.Authority).Spec.Key.Plain
}

// hold: managers have what opens the authority, and not its key; workers, those that were managers too, have nothing of it.
func (c *cluster) hold(managers []*machine, workers ...*machine) {
	c.t.Helper()
	for _, m := range managers {
		c.await(m.Name+" has the authority sealed", func() bool { return m.has("ca.sealed") && m.has("unlock.key") && !m.has("ca.key") })
		if !bytes.Equal(m.opensAuthority(), managers[0].opensAuthority()) {
			c.t.Errorf("%s and %s have different authorities", m.Name, managers[0].Name)
		}
	}
	for _, w := range workers {
		if w.has("ca.sealed") || w.has("unlock.key") || w.has("ca.key") || w.has("server.key") {
			c.t.Errorf("worker %s has what only managers may have", w.Name)
		}
	}
}
