package identity

import (
	"bytes"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// keeps tells which of the files are there.
func keeps(dir string, names ...string) bool {
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(dir, n)); err != nil {
			return false
		}
	}
	return true
}

// sealedAway is a directory of keys whose authority lies in a store.
func sealedAway(t *testing.T) (dir string, ca pair, s *memstore.Store) {
	t.Helper()
	dir, s = filepath.Join(t.TempDir(), "keys"), memstore.New()
	ca, err := authority(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ring seal.Ring
	if err := Settle(t.Context(), dir, s, &ring); err != nil {
		t.Fatal(err)
	}
	if ring.Locked() {
		t.Error("the ring is locked")
	}
	return dir, ca, s
}

func theAuthority(t *testing.T, s store.Store) *v1.Authority {
	t.Helper()
	o, err := s.Get(t.Context(), meta.Key{Kind: "Authority", Name: "cluster"})
	if err != nil {
		t.Fatal(err)
	}
	return o.(*v1.Authority)
}

func TestSettle(t *testing.T) {
	dir, ca, s := sealedAway(t)
	if keeps(dir, "ca.key") || !keeps(dir, "ca.crt", "ca.sealed", "unlock.key") {
		t.Error("what is left is not what should be")
	}
	if i, err := os.Stat(filepath.Join(dir, "unlock.key")); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", i, err)
	}
	got, err := authority(dir)
	if err != nil || !samePair(got, ca) {
		t.Errorf("the next start has another authority: %v", err)
	}
	before, _, _ := s.List(t.Context())
	if err := Settle(t.Context(), dir, s, &seal.Ring{}); err != nil {
		t.Errorf("once more: %v", err)
	}
	after, rev, _ := s.List(t.Context())
	if rev != 2 || len(before) != len(after) {
		t.Errorf("it writes each time; revision %d", rev)
	}
	if _, err := OpenDesk(dir, s, time.Now); err != nil {
		t.Error(err)
	}
	if _, err := ServerConfig(dir, "m", "127.0.0.1"); err != nil {
		t.Error(err)
	}
}

// TestSettleAfterKill: wherever it was killed, the next start does the rest, and the authority is the same.
func TestSettleAfterKill(t *testing.T) {
	done, ca, s := sealedAway(t)
	plain := t.TempDir()
	if err := ca.save(plain, authorityFile); err != nil {
		t.Fatal(err)
	}
	a := theAuthority(t, s)
	for what, x := range map[string]struct {
		plain, sealed []string // what is there of both
		store         bool
	}{
		"before all":                    {[]string{"ca.crt", "ca.key"}, nil, false},
		"before it is in the store":     {[]string{"ca.crt", "ca.key"}, []string{"unlock.key"}, false},
		"before there is a copy":        {[]string{"ca.crt", "ca.key"}, []string{"unlock.key"}, true},
		"before the key is removed":     {[]string{"ca.crt", "ca.key"}, []string{"unlock.key", "ca.sealed"}, true},
		"after all":                     {[]string{"ca.crt"}, []string{"unlock.key", "ca.sealed"}, true},
		"a store from before the key":   {[]string{"ca.crt"}, []string{"unlock.key", "ca.sealed"}, false},
		"a copy whose certificate left": {nil, []string{"unlock.key", "ca.sealed"}, true},
	} {
		dir, mem := t.TempDir(), memstore.New()
		for from, names := range map[string][]string{plain: x.plain, done: x.sealed} {
			for _, n := range names {
				text, err := os.ReadFile(filepath.Join(from, n))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, n), text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if x.store {
			mem = memstore.New(a)
		}
		if err := Settle(t.Context(), dir, mem, &seal.Ring{}); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got, err := authority(dir)
		if err != nil || !samePair(got, ca) || keeps(dir, "ca.key") || !keeps(dir, "ca.crt", "ca.sealed", "unlock.key") {
			t.Errorf("%s: another authority, or another directory: %v", what, err)
		}
	}
}

// TestWrongUnlockKey: what needs no signature goes on, and what needs one says why it cannot be had.
func TestWrongUnlockKey(t *testing.T) {
	dir, _, s := sealedAway(t)
	first, err := ServerConfig(dir, "m", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	right, err := unlockKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := GiveUnlockKey(dir, seal.NewUnlockKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDesk(dir, s, time.Now); !errors.Is(err, seal.ErrUnlockKey) || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("the desk: %v", err)
	}
	if err := Settle(t.Context(), dir, s, &seal.Ring{}); !errors.Is(err, seal.ErrUnlockKey) {
		t.Errorf("settle: %v", err)
	}
	again, err := ServerConfig(dir, "m", "127.0.0.1")
	if err != nil || !bytes.Equal(shownOf(t, again), shownOf(t, first)) {
		t.Errorf("it does not show what it showed before: %v", err)
	}
	client, err := ClientConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(t, again, client); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	if err := GiveUnlockKey(dir, right); err != nil {
		t.Fatal(err)
	}
	if err := Locked(dir); err != nil {
		t.Errorf("with the right key: %v", err)
	}
	if err := GiveUnlockKey(dir, "nonsense"); err == nil {
		t.Error("nonsense is a key")
	}
	if err := os.Remove(filepath.Join(dir, "unlock.key")); err != nil {
		t.Fatal(err)
	}
	if err := Settle(t.Context(), dir, s, &seal.Ring{}); err != nil || !keeps(dir, "unlock.key") {
		t.Errorf("a key that was given and fits is not kept: %v", err)
	}
}

// shownOf is the certificate that a manager shows.
func shownOf(t *testing.T, c *tls.Config) []byte {
	t.Helper()
	shown, err := c.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return shown.Certificate[0]
}

// TestForeignStore: an authority beside that of the store is not thrown away.
func TestForeignStore(t *testing.T) {
	_, _, s := sealedAway(t)
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := authority(dir); err != nil {
		t.Fatal(err)
	}
	if err := keepUnlockKey(dir, seal.NewUnlockKey()); err != nil {
		t.Fatal(err)
	}
	if err := Settle(t.Context(), dir, s, &seal.Ring{}); err == nil || !keeps(dir, "ca.key") {
		t.Errorf("it is: %v", err)
	}
}
