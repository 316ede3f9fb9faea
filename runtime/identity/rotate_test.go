package identity

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
)

// change does to the stored Authority what the controller does in one step.
func change(t *testing.T, dir string, s store.Store, step func(r Rotation, x *v1.AuthoritySpec, opened *v1.Authority)) {
	t.Helper()
	ring := &seal.Ring{}
	if err := Settle(t.Context(), dir, s, ring); err != nil {
		t.Fatal(err)
	}
	o, err := s.Get(t.Context(), meta.Key{Kind: v1.AuthorityKind.Name, Name: v1.AuthorityName})
	if err != nil {
		t.Fatal(err)
	}
	r := Rotation{Ring: ring}
	a, err := r.Open(o.(*v1.Authority))
	if err != nil {
		t.Fatal(err)
	}
	step(r, &a.Spec, a)
	a.Metadata.Generation++
	if _, err := store.Seal(s, ring).Commit(t.Context(), store.UpdateOp(a)); err != nil {
		t.Fatal(err)
	}
	if err := Settle(t.Context(), dir, s, ring); err != nil {
		t.Fatal(err)
	}
}

// TestRotation: who believes the old authority only is at home until it is forgotten, and who shows what it signed, too.
func TestRotation(t *testing.T) {
	r := newReception(t)
	if err := Settle(t.Context(), r.dir, r.mem, &seal.Ring{}); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFront(r.dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := f.TLS()
	a, cert, err := r.applies(t.Context(), r.token(t, time.Hour, 1), "w1")
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(t, server, a.TLS()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "keys")
	if err := a.Save(dir, cert, nil); err != nil {
		t.Fatal(err)
	}
	n, err := OpenNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := ClientConfig(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	first := f.Signer()
	refresh := func() {
		t.Helper()
		if err := f.Refresh(); err != nil {
			t.Fatal(err)
		}
	}
	all := func(when string, wants ...bool) {
		t.Helper()
		for i, err := range []error{talk(t, server, n.TLS()), talk(t, server, a.TLS())} {
			if (err == nil) != wants[i] {
				t.Errorf("%s, %d: %v", when, i, err)
			}
		}
	}
	change(t, r.dir, r.mem, func(r Rotation, x *v1.AuthoritySpec, opened *v1.Authority) {
		var err error
		if x.Next, x.Endorsement, x.NextKey.Plain, err = r.Make(opened); err != nil {
			t.Fatal(err)
		}
	})
	refresh()
	all("introduced", true, true)
	if f.Signer() != first {
		t.Error("the new one signs before it is believed")
	}
	change(t, r.dir, r.mem, func(_ Rotation, x *v1.AuthoritySpec, _ *v1.Authority) {
		x.Certificate, x.Former, x.Next = x.Next, x.Certificate, ""
		x.Key, x.NextKey = meta.Secret{Plain: x.NextKey.Plain}, meta.Secret{}
	})
	csr, err := n.Request()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Renew(t.Context(), "w1", csr); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a manager signs with the old key: %v", err)
	}
	refresh()
	all("the new one signs", true, true)
	if f.Signer() == first || talk(t, server, admin) == nil {
		t.Error("the new one does not sign")
	}
	if again, err := ClientConfig(r.dir); err != nil || talk(t, server, again) != nil {
		t.Errorf("the administrator has no new key: %v", err)
	}
	if _, id, err := OpenMember(r.dir, "m"); err != nil || id == "" {
		t.Error(err)
	}
	if m, err := OpenNode(r.dir); err != nil || m.Signer() != f.Signer() {
		t.Errorf("the manager itself: %v", err)
	}
	stale, err := OpenNode(copied(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	r.keepsUp(t, n, csr)
	change(t, r.dir, r.mem, func(_ Rotation, x *v1.AuthoritySpec, _ *v1.Authority) { x.Former, x.Endorsement = "", "" })
	refresh()
	all("forgotten", true, false)
	if err := talk(t, server, stale.TLS()); err == nil {
		t.Error("who believes the old one only is at home")
	}
	if err := Believe(stale.dir, textOf(authoritiesOf(t, r.dir))); err != nil {
		t.Fatal(err)
	}
	if err := talk(t, server, stale.TLS()); err == nil {
		t.Error("what the old one signed is good for something")
	}
}

// keepsUp: a node hears what is believed, and gets a certificate of the new one.
func (r *reception) keepsUp(t *testing.T, n *Node, csr []byte) {
	t.Helper()
	if err := Believe(n.dir, textOf(authoritiesOf(t, r.dir))); err != nil || !n.Outdated() {
		t.Fatalf("a node does not see that another one signs: %v", err)
	}
	d, err := OpenDesk(r.dir, r.mem, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := d.Renew(t.Context(), "w1", csr)
	if err == nil {
		err = n.Renewed(cert)
	}
	if err != nil || n.Outdated() || Believed(n.dir) != Believed(r.dir) {
		t.Errorf("a node is not renewed: %v", err)
	}
}

func authoritiesOf(t *testing.T, dir string) []*x509.Certificate {
	t.Helper()
	all, err := readAuthorities(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
