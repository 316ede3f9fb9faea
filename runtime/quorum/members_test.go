package quorum

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/runtime/store"
)

// Three members: each takes commits and sees those of the others at once; they know each other.
func TestThreeMembers(t *testing.T) {
	c := newCluster(t, 3)
	for i, n := range c.nodes {
		name := fmt.Sprintf("s%d", i)
		c.put(n, name)
		for _, m := range c.nodes {
			if _, err := m.Store().Get(t.Context(), service(name).Key()); err != nil {
				t.Fatalf("%s at %s: %v", name, m.config.Name, err)
			}
		}
	}
	for _, n := range c.nodes {
		members, err := n.Members(t.Context())
		if voters, reachable := votes(members); err != nil || voters != 3 || reachable != 3 {
			t.Fatalf("%+v, %v", members, err)
		}
		if h := n.Health(); h.Err != nil || h.Voters != 3 || len(h.Warnings) > 0 || h.Age != 0 {
			t.Fatalf("health %+v", h)
		}
	}
}

// Five members go on without two.
func TestFiveMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five members")
	}
	c := newCluster(t, 5)
	for range 2 {
		lead := c.leader()
		lead.server.HardStop() // not Close: it would hand over
		lead.close()
	}
	for _, n := range c.nodes {
		if n.Quorum != nil {
			c.put(n, "from-"+n.config.Name)
		}
	}
}

// An even number of voters is warned of.
func TestEvenNumberOfMembers(t *testing.T) {
	c := newCluster(t, 2)
	h := c.nodes[0].Health()
	if len(h.Warnings) != 1 || !strings.Contains(h.Warnings[0], "2 managers vote") {
		t.Fatalf("health %+v", h)
	}
}

// Every member restarts, one by one and all at once, in every order, and works again, with all data.
func TestRestartInAnyOrder(t *testing.T) {
	c := newCluster(t, 3)
	c.put(c.nodes[0], "web")
	for _, n := range c.nodes {
		n.close()
		c.put(c.nodes[(indexOf(c, n)+1)%3], "without-"+n.config.Name)
		c.start(n)
		c.has(n, "without-"+n.config.Name)
	}
	for i, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		for _, n := range c.nodes {
			n.close()
		}
		for _, k := range order {
			c.start(c.nodes[k])
		}
		name := fmt.Sprintf("round-%d", i)
		c.put(c.nodes[order[0]], name)
		for _, n := range c.nodes {
			c.has(n, name)
			c.has(n, "web")
		}
	}
}

func indexOf(c *cluster, n *node) int {
	for i, x := range c.nodes {
		if x == n {
			return i
		}
	}
	return -1
}

// A member that is alone of three refuses commits and reads from a majority soon and says why; what it has itself it still
// tells, and since when that may be old.
func TestMinority(t *testing.T) {
	c := newCluster(t, 3)
	c.put(c.nodes[0], "web")
	n := c.leader()
	c.has(n, "web")
	for _, m := range c.nodes {
		if m != n {
			m.close()
		}
	}
	eventually(t, "a clear refusal", func() bool {
		err := n.Health().Err
		return err != nil && strings.Contains(err.Error(), "no quorum: 1 of 3 managers reachable")
	})
	began := time.Now()
	for range 20 {
		_, err := n.Store().Commit(t.Context(), store.CreateOp(service("late")))
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "1 of 3 managers reachable") {
			t.Fatalf("commit: %v", err)
		}
		if _, _, err := n.Store().List(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("list: %v", err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("40 refusals took %v", took)
	}
	all, _, err := n.Local().List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	if h := n.Health(); h.Age == 0 || h.HasLeader {
		t.Fatalf("health %+v", h)
	}
	for _, m := range c.nodes {
		if m.Quorum == nil {
			c.start(m)
		}
	}
	c.put(n, "again")
	if h := n.Health(); h.Age != 0 || h.Err != nil {
		t.Fatalf("health %+v", h)
	}
}

// A commit that is under way when the majority goes is not waited for; nobody can say what became of it.
func TestCommitWhenTheMajorityGoes(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for an election that fails")
	}
	c := newCluster(t, 3)
	n := c.leader()
	for _, m := range c.nodes {
		if m != n {
			m.Quorum.server.HardStop()
		}
	}
	began := time.Now()
	_, err := n.Store().Commit(t.Context(), store.CreateOp(service("web")))
	if !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("commit: %v", err)
	}
	t.Logf("after %v: %v", time.Since(began), err)
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("it took %v", took)
	}
}

// Removing is refused where it would leave no majority; a member that is gone for good can be removed; the removed one knows.
func TestRemove(t *testing.T) {
	c := newCluster(t, 3)
	if err := c.nodes[0].Remove(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("remove nobody: %v", err)
	}
	lead := c.leader()
	other, third := c.nodes[(indexOf(c, lead)+1)%3], c.nodes[(indexOf(c, lead)+2)%3]
	third.close()
	if err := lead.Remove(t.Context(), other.config.Name); !errors.Is(err, ErrQuorum) {
		t.Fatalf("remove one of two that are left: %v", err)
	}
	if err := lead.Remove(t.Context(), third.config.Name); err != nil {
		t.Fatal(err)
	}
	if err := lead.Remove(t.Context(), third.config.Name); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("remove it again: %v", err)
	}
	c.start(third)
	select {
	case <-third.Done():
	case <-time.After(patience):
		t.Fatal("the removed member was not told")
	}
	if !errors.Is(third.Err(), ErrRemoved) {
		t.Fatalf("it ended with %v", third.Err())
	}
	if err := lead.Remove(t.Context(), lead.config.Name); err != nil { // itself, while it leads
		t.Fatal(err)
	}
	eventually(t, "the end of the leader that removed itself", func() bool { return errors.Is(lead.Err(), ErrRemoved) })
	c.put(other, "alone")
	if err := other.Remove(t.Context(), other.config.Name); !errors.Is(err, ErrQuorum) {
		t.Fatalf("remove the last one: %v", err)
	}
}

// A join can be broken off at any step by either side, and be begun again; the old place is of no use then.
func TestJoinAgain(t *testing.T) {
	c := newCluster(t, 1)
	first, n := c.nodes[0], c.member("n1")
	old, err := first.AddLearner(t.Context(), "n1", n.config.Peer.Advertise)
	if err != nil {
		t.Fatal(err)
	}
	first.close() // the one that made the place restarts
	c.start(first)
	j, err := first.AddLearner(t.Context(), "n1", n.config.Peer.Advertise)
	if err != nil || j.ID == old.ID {
		t.Fatalf("%+v after %+v: %v", j, old, err)
	}
	if err := c.tryJoin(n, old); !errors.Is(err, ErrJoinAgain) {
		t.Fatalf("join at the old place: %v", err)
	}
	// A start that was ended after its log was made and before it was ready.
	if err := os.MkdirAll(filepath.Join(n.config.DataDir, "member", "wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.config.DataDir, firstStart), []byte(joinMark+fmt.Sprint(j.ID)), 0o600); err != nil {
		t.Fatal(err)
	}
	if Exists(n.config.DataDir) {
		t.Fatal("an unfinished join counts as a member")
	}
	if err := c.tryJoin(n, j); !errors.Is(err, ErrJoinAgain) {
		t.Fatalf("join where an unfinished start used the place: %v", err)
	}
	if err := n.open(); !errors.Is(err, ErrJoinAgain) {
		t.Fatalf("start what was to join: %v", err)
	}
	c.join(n)
	if !Exists(n.config.DataDir) {
		t.Fatal("a finished join does not count")
	}
	if _, err := first.AddLearner(t.Context(), "n1", n.config.Peer.Advertise); !errors.Is(err, ErrMember) {
		t.Fatalf("add a voter: %v", err)
	}
	if _, err := Join(t.Context(), Config{DataDir: n.config.DataDir, Name: "n1", Peer: n.config.Peer}, j); err == nil {
		t.Fatal("joined where a member lies")
	}
	c.put(n, "web")
}

// A member that joins late gets what is in no log any more as a whole database, and one that was away for long as well.
func TestSnapshotToAnother(t *testing.T) {
	if testing.Short() {
		t.Skip("commits thousands of times")
	}
	c := newCluster(t, 2)
	fill := func(from int) {
		for i := range 2500 {
			c.put(c.nodes[0], fmt.Sprintf("s%d", from+i%300))
		}
	}
	fill(0)
	n := c.member("n2")
	c.join(n)
	c.has(n, "s299")
	n.close()
	fill(1000)
	c.start(n)
	c.has(n, "s1299")
	for _, m := range c.nodes {
		if all, _, err := m.Local().List(t.Context()); err != nil || len(all) != 600 {
			t.Errorf("%s has %d objects, %v", m.config.Name, len(all), err)
		}
	}
	n.close()
	c.start(n)
	c.has(n, "s1299")
}

// A learner that restarts before it votes still gets its vote.
func TestLearnerRestarts(t *testing.T) {
	c := newCluster(t, 1)
	n := c.member("n1")
	j, err := c.nodes[0].AddLearner(t.Context(), "n1", n.config.Peer.Advertise)
	if err == nil {
		err = c.tryJoin(n, j)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-n.Ready()
	n.close()
	c.start(n)
	c.votes(n)
	c.put(n, "web")
}

// A member with another address is found again, and so is one that moves while a third is away.
func TestAddressChanges(t *testing.T) {
	c := newCluster(t, 3)
	for _, n := range c.nodes {
		n.close()
		n.config.Peer.Advertise = freeAddress(t)
		c.start(n)
		c.put(n, "moved-"+n.config.Name)
		eventually(t, "everybody knows the address of "+n.config.Name, func() bool {
			for _, m := range c.nodes {
				if x := m.find(n.config.Name); x == nil || x.PeerURLs[0] != n.config.Peer.url() {
					return false
				}
			}
			return true
		})
	}
}

// A member that was alone for long and had no address gets one, and company at once; it lost its data to nobody.
func TestAloneGetsCompany(t *testing.T) {
	c := &cluster{t: t, ca: newAuthority(t, t.TempDir())}
	first := c.member("n0")
	q, err := open(t, Config{DataDir: first.config.DataDir, Name: "n0"})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, q.Store(), store.CreateOp(service("old")))
	if _, err := q.AddLearner(t.Context(), "n1", "127.0.0.1:1"); err == nil {
		t.Fatal("a member without an address took another one")
	}
	q.Close()
	c.start(first)
	n := c.member("n1")
	c.join(n)
	c.has(n, "old")
	n.close()
	first.close()
	if _, err := open(t, Config{DataDir: first.config.DataDir, Name: "n0"}); err == nil || !strings.Contains(err.Error(), "--advertise") {
		t.Fatalf("one of two was started without an address: %v", err)
	}
	c.start(first)
	c.start(n)
	c.put(n, "new")
}

// Who is no manager, or none of this cluster, gets nothing from the handler.
func TestHandlerRefuses(t *testing.T) {
	c := newCluster(t, 2)
	base := c.nodes[0].config.Peer.url()
	other := newAuthority(t, t.TempDir())
	for name, p := range map[string]PeerConfig{
		"a worker":               c.ca.peer(t, "w1", "warren:worker", "127.0.0.1:1"),
		"a manager of nobody":    c.ca.peer(t, "n9", Role, "127.0.0.1:1"),
		"another authority's":    {Cert: other.peer(t, "n1", Role, "").Cert, Key: other.peer(t, "n1", Role, "").Key, CA: c.ca.dir + "/ca.crt"},
		"nobody, no certificate": {},
		"a member":               c.nodes[1].config.Peer,
	} {
		pool := x509.NewCertPool()
		pool.AddCert(c.ca.cert)
		config := &tls.Config{RootCAs: pool, ServerName: ServerName}
		if p.Cert != "" {
			pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		for _, path := range []string{"/members", "/raft/probing", "/raft/stream/message/1", "/members/hashkv", "/tidy"} {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
			resp, err := client.Get(base + path)
			served := err == nil && resp.StatusCode != http.StatusForbidden
			if err == nil {
				resp.Body.Close()
			}
			if served != (name == "a member") {
				t.Errorf("%s at %s: served %v, %v", name, path, served, err)
			}
		}
	}
	for _, p := range []PeerConfig{c.ca.peer(t, "w2", "warren:worker", "127.0.0.1:1"), {Advertise: "nowhere"}, {Advertise: "127.0.0.1:1", Cert: "x", Key: "y"}} {
		if _, err := Start(t.Context(), Config{DataDir: t.TempDir(), Peer: p}); err == nil {
			t.Errorf("started with %+v", p)
		}
	}
}
