//go:build e2e

package cluster

import (
	"bytes"
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/e2e/hosts"
)

// TestRefusedJoins: whatever is wrong is said, with what to do, and nothing is left of it on the machine or at the manager.
func TestRefusedJoins(t *testing.T) {
	c := newCluster(t)
	m, w, other := c.machine("m"), c.machine("w"), c.machine("o")
	m.manager()
	other.manager()
	m.awaitNodes(v1.NodeReady, "m")
	other.awaitNodes(v1.NodeReady, "o")
	token := func(at *machine, flags ...string) string {
		return strings.TrimSpace(at.ctl(append([]string{"token", "create", "--role", "worker"}, flags...)...))
	}
	revoked := token(m)
	m.ctl("token", "revoke", strings.Split(revoked, ".")[2])
	good := token(m, "--uses", "2")
	wrong := good[:len(good)-4] + "aaaa"
	silent := deaf(t, w)
	for what, x := range map[string]struct{ address, token, name, says, next string }{
		"no token":          {m.address(), "nonsense", "w", "this is no join token", "warrenctl token create"},
		"wrong secret":      {m.address(), wrong, "w", "has another secret", "warrenctl token create"},
		"revoked":           {m.address(), revoked, "w", "was revoked", "warrenctl token create"},
		"another cluster":   {m.address(), token(other), "w", "not of the cluster", "the address and a token of the same cluster"},
		"nobody there":      {m.Address.Addr().String() + ":7071", good, "w", "nobody listens there", "--listen"},
		"what is no warren": {silent, good, "w", "", "--listen"},
		"taken":             {m.address(), good, "m", `the node name "m" is taken`, "--node-name"},
		"a bad name":        {m.address(), good, "-", "--node-name", ""},
	} {
		errs := w.refusedJoin(x.address, x.token, x.name)
		if !strings.Contains(errs, x.says) || !strings.Contains(errs, x.next) || x.next != "" && !strings.Contains(errs, "\ntry: ") {
			t.Errorf("%s: %s", what, errs)
		}
		if left, _ := os.ReadDir(w.DataDir); len(left) > 0 {
			t.Errorf("%s: left in %s: %v", what, w.DataDir, left)
		}
	}
	if names := m.nodeNames(); !slices.Equal(names, []string{"m"}) {
		t.Errorf("nodes after refused joins: %v", names)
	}
	if out := m.ctl("token", "list"); !strings.Contains(out, "0/2") {
		t.Errorf("a refused join used up a token:\n%s", out)
	}
	w.usedUp(m)
}

// usedUp: a token that admitted one machine admits no other, and the machine is not made another node.
func (w *machine) usedUp(m *machine) {
	t := w.c.t
	once := strings.TrimSpace(m.ctl("token", "create", "--role", "worker"))
	w.warren("join", m.address(), "--token", once, "--node-name", "w")
	m.awaitNodes(v1.NodeReady, "w")
	if errs := w.refusedJoin(m.address(), once, "x"); !strings.Contains(errs, "there is a node in") || !strings.Contains(errs, "try: warren run") {
		t.Errorf("joining twice: %s", errs)
	}
	second := w.c.machine("s")
	if errs := second.refusedJoin(m.address(), once, "s"); !strings.Contains(errs, "was used already") {
		t.Errorf("a token used twice: %s", errs)
	}
	if out := m.ctl("token", "list"); !strings.Contains(out, "Used") {
		t.Errorf("tokens:\n%s", out)
	}
	if err := w.Kill(hosts.Warren); err != nil {
		t.Fatal(err)
	}
	if got := m.nodeNames(); !slices.Equal(got, []string{"m", "w"}) {
		t.Errorf("nodes: %v", got)
	}
}

func (m *machine) nodeNames() (names []string) {
	for _, n := range items[v1.Node](m, "nodes") {
		names = append(names, n.Metadata.Name)
	}
	return names
}

// refusedJoin is a join that fails; it returns what it said.
func (m *machine) refusedJoin(address, token, name string) string {
	m.c.t.Helper()
	cmd := m.command(warren, "join", address, "--token", token, "--node-name", name)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		m.c.t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			m.c.t.Errorf("the join succeeds: %s", errs.String())
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-ended
		m.c.t.Errorf("the join does not end: %s", errs.String())
	}
	return errs.String()
}

// deaf listens on the host and answers nothing that makes sense.
func deaf(t *testing.T, m *machine) string {
	t.Helper()
	var l net.Listener
	err := m.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 mail.example.org\r\n"))
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
