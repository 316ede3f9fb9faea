package quorum

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// A database at its limit refuses writes at all members; after something was deleted the leader lets each member make room,
// and all take writes again.
func TestQuotaOfSeveral(t *testing.T) {
	c := &cluster{t: t, ca: newAuthority(t, t.TempDir())}
	for i := range 3 {
		n := c.member(fmt.Sprintf("n%d", i))
		n.config.Quota = 16 << 20
		if i == 0 {
			c.start(n)
		} else {
			c.join(n)
		}
	}
	lead := c.leader()
	big := func(i int) *v1.Service {
		s := service(fmt.Sprintf("big-%d", i))
		s.Metadata.Annotations = map[string]string{"x": strings.Repeat("x", 200<<10)}
		return s
	}
	n := 0
	for ; ; n++ {
		if _, err := lead.Store().Commit(t.Context(), store.CreateOp(big(n))); errors.Is(err, store.ErrNoSpace) {
			break
		} else if err != nil || n > 200 {
			t.Fatalf("commit %d: %v", n, err)
		}
		lead.server.Backend().ForceCommit()
	}
	for _, m := range c.nodes {
		eventually(t, m.config.Name+" says that it is full", func() bool { return errors.Is(m.Health().Err, store.ErrNoSpace) })
	}
	for i := range n {
		commit(t, lead.Store(), store.Op{Verb: store.Delete, Key: big(i).Key(), Guard: store.Any})
	}
	eventually(t, "room at the leader", func() bool {
		if err := lead.tidyOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		return lead.Health().Err == nil
	})
	for _, m := range c.nodes {
		c.put(m, "after-"+m.config.Name)
		if h := m.Health(); h.Err != nil || h.Size > 8<<20 {
			t.Errorf("%s after making room: %+v", m.config.Name, h)
		}
	}
}
