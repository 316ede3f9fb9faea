//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// rotation is how far the replacement of the authority is, as a machine tells it.
func (m *machine) rotation() v1.ClusterStatus {
	for _, c := range items[v1.Cluster](m, "clusters") {
		return c.Status
	}
	return v1.ClusterStatus{}
}

// number is that of the authority.
func (m *machine) number() int {
	for _, a := range items[v1.Authority](m, "authorities") {
		return a.Spec.Number
	}
	return -1
}

// rotating starts the command, and returns what it prints and how it ends.
func (m *machine) rotating(args ...string) (*text, chan error) {
	m.c.t.Helper()
	cmd := m.Command(m.c.t.Context(), warrenctl, append([]string{"cluster", "rotate-ca"}, args...)...)
	out, ended := &text{}, make(chan error, 1)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		m.c.t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	return out, ended
}

func (c *cluster) ends(what string, out *text, ended chan error) {
	c.t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			c.t.Errorf("%s: %v\n%s", what, err, out)
		}
	case <-time.After(patience):
		c.t.Fatalf("%s does not end:\n%s\n%+v", what, out, c.all[0].rotation())
	}
}

// believed are the authorities of a node, as text.
func (m *machine) believed() string {
	data, _ := os.ReadFile(m.key("ca.crt"))
	return string(data)
}

// TestRotation: the authority is replaced while everything works, and then nobody believes the old one. One node that is off
// meanwhile keeps it believed until it is back; whoever is killed meanwhile, it comes to its end.
func TestRotation(t *testing.T) {
	c := newCluster(t)
	m1, m2, m3, w1, w2 := c.machine("m1"), c.machine("m2"), c.machine("m3"), c.machine("w1"), c.machine("w2")
	m1.warren("run", "--node-name", "m1", "--listen", "0.0.0.0:7070")
	m1.awaitNodes(v1.NodeReady, "m1")
	m2.joinManager(m1)
	m3.joinManager(m1)
	c.quorum(m1, m1, m2, m3)
	w1.join(m1)
	w2.join(m2)
	m1.awaitNodes(v1.NodeReady, "m1", "m2", "m3", "w1", "w2")
	c.kills(w2)
	m1.awaitNodes(v1.NodeDown, "w2")
	for _, m := range []*machine{m1, m2, m3, w1} {
		c.await("containers of "+m.Name+" are up", func() bool {
			_, _, err := m.try("image", "import", helloTar)
			return err == nil
		})
	}
	m2.apply(strings.Replace(web, "replicas: 3", "replicas: 4", 1))
	tasks := m3.settled(4, "m1", "m2", "m3", "w1")
	old := filepath.Join(t.TempDir(), "keys")
	if err := os.CopyFS(old, os.DirFS(filepath.Join(m1.DataDir, "keys"))); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := w1.try("--server", m1.address(), "--keys", old, "get", "nodes"); err != nil {
		t.Fatalf("the old keys before: %s", errs)
	}
	token := strings.TrimSpace(m1.ctl("token", "create", "--role", "worker"))
	probes := c.probes(w1, m1, m2, m3)
	began := time.Now()
	out, ended := m2.rotating()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("rotate-ca said\n%s", out)
		}
	})
	c.await("the rotation waits for who is off", func() bool {
		s := m1.rotation()
		return s.Rotation == v1.RotationRenew && slices.Equal(s.Waiting, []string{"node/w2"})
	})
	t.Logf("all that are on have new certificates after %s", time.Since(began).Round(time.Millisecond))
	if _, errs, _ := m3.try("cluster", "status"); !strings.Contains(errs, "waiting for node/w2") {
		t.Errorf("cluster status says %q", errs)
	}
	w3 := c.machine("w3")
	w3.warren("join", m3.address(), "--token", token, "--node-name", "w3") // one from before
	m1.awaitNodes(v1.NodeReady, "w3")
	began = time.Now()
	w2.warren("run")
	c.ends("rotate-ca", out, ended)
	t.Logf("done %s after the last one is back:\n%s", time.Since(began).Round(time.Millisecond), out)
	probes()
	c.same("rotation", tasks, m1.settled(4, "m1", "m2", "m3", "w1"))
	c.onlyNew(old, m1, m2, m3, w1, w2, w3)
	c.rotatedWhileKilled(tasks, m1, m2, m3)
}

// probes has a user read and write through all managers until what it returns is called, which complains of whatever failed.
func (c *cluster) probes(at *machine, managers ...*machine) (end func()) {
	c.t.Helper()
	var servers []string
	for _, m := range managers {
		servers = append(servers, m.address())
	}
	config := filepath.Join(c.t.TempDir(), "config.yaml")
	anna := func(args ...string) (string, string, error) {
		return at.try(append([]string{"--config", config, "--context", "lab"}, args...)...)
	}
	token := strings.TrimSpace(managers[0].ctl("token", "create", "--role", "operator", "--user", "anna"))
	if _, errs, err := anna("login", strings.Join(servers, ","), "--token", token); err != nil {
		c.t.Fatal(errs)
	}
	var stop atomic.Bool
	done := make(chan int, 1)
	c.t.Cleanup(func() { stop.Store(true) })
	var longest time.Duration
	var unknown int
	go func() {
		n := 0
		for ; !stop.Load() && !c.t.Failed(); n++ {
			began := time.Now()
			if _, errs, err := anna("get", "services"); err != nil {
				c.t.Errorf("anna reads: %s", errs)
			}
			write := []string{"label", "--overwrite", "service/web", fmt.Sprintf("probe=n%d", n)}
			_, errs, err := anna(write...)
			if err != nil && strings.Contains(errs, "the leader changed before the answer came") { // as with any change of the leader
				unknown++
				_, errs, err = anna(write...)
			}
			if err != nil {
				c.t.Errorf("anna writes: %s", errs)
			}
			longest = max(longest, time.Since(began))
		}
		done <- n
	}()
	return func() {
		stop.Store(true)
		n := <-done
		c.t.Logf("%d reads and writes while the authority was replaced, %d writes with an unknown outcome, the longest pair %s", n, unknown, longest.Round(time.Millisecond))
		if _, errs, err := anna("get", "services"); err != nil {
			c.t.Errorf("anna afterwards: %s", errs)
		}
	}
}

// onlyNew: the old authority is worth nothing any more, anywhere.
func (c *cluster) onlyNew(old string, all ...*machine) {
	c.t.Helper()
	m := all[0]
	want := m.believed()
	if was, _ := os.ReadFile(filepath.Join(old, "ca.crt")); strings.Count(want, "BEGIN") != 1 || want == string(was) {
		c.t.Errorf("believed in the end:\n%s", want)
	}
	for _, x := range all {
		c.await(x.Name+" believes only the new one", func() bool { return x.believed() == want })
	}
	mixed := filepath.Join(c.t.TempDir(), "mixed") // believes the new one, shows what the old one signed
	if err := os.CopyFS(mixed, os.DirFS(old)); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mixed, "ca.crt"), []byte(want+string(must(os.ReadFile(filepath.Join(old, "ca.crt"))))), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for _, x := range all[:3] {
		for _, dir := range []string{old, mixed} {
			if _, _, err := all[3].try("--server", x.address(), "--keys", dir, "get", "nodes"); err == nil {
				c.t.Errorf("%s lets somebody in with a certificate of the old authority", x.Name)
			}
		}
	}
	if _, errs, err := all[3].try("--server", m.address(), "--keys", filepath.Join(m.DataDir, "keys"), "get", "nodes"); err != nil {
		c.t.Errorf("the new key of the administrator: %s", errs)
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// rotatedWhileKilled: the leader is killed when the new authority is there, and once more when it signs.
func (c *cluster) rotatedWhileKilled(tasks []v1.Task, all ...*machine) {
	c.t.Helper()
	number := all[0].number()
	rest := others(all, c.quorum(all[0], all...))
	out, ended := rest[0].rotating()
	for _, phase := range []v1.RotationPhase{v1.RotationIntroduce, v1.RotationRenew} {
		c.await("phase "+string(phase), func() bool {
			now := rest[0].rotation().Rotation
			return now == phase || now == v1.RotationForget || now == "" && rest[0].number() > number
		})
		leader := c.quorum(rest[0], all...)
		c.kills(leader)
		leader.warren("run")
	}
	c.await("only a user is waited for, who does not come", func() bool { return slices.Equal(rest[0].rotation().Waiting, []string{"user/anna"}) })
	again, finished := rest[1].rotating("--finish")
	c.ends("rotate-ca while leaders are killed", out, ended)
	c.ends("rotate-ca --finish", again, finished)
	if now := all[0].number(); now != number+1 {
		c.t.Errorf("authority %d", now)
	}
	c.quorum(all[0], all...)
	c.same("rotation while leaders are killed", tasks, all[1].settled(4, "m1", "m2", "m3", "w1"))
}
