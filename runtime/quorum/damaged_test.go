package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// A member whose data is readable and other than that of the others does not take part.
func TestMemberWithOtherData(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 20 {
		c.put(c.nodes[0], fmt.Sprintf("s%d", i))
	}
	n := c.nodes[2]
	c.has(n, "s19")
	n.close()
	db, err := bolt.Open(filepath.Join(n.config.DataDir, "member", "snap", "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		key, value := b.Cursor().Last()
		changed := bytes.Replace(value, []byte("registry.example.org"), []byte("registry.example.com"), 1)
		return b.Put(bytes.Clone(key), changed)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := n.open(); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("start with other data: %v", err)
	}
	c.put(c.nodes[0], "on")
}

// A damaged member is told as such, is removed and joins again while the others go on.
func TestDamagedMember(t *testing.T) {
	if testing.Short() {
		t.Skip("joins again and again")
	}
	c := newCluster(t, 3)
	for i := range 200 {
		c.put(c.nodes[0], fmt.Sprintf("s%d", i))
	}
	n := c.nodes[2]
	db := filepath.Join(n.config.DataDir, "member", "snap", "db")
	for what, damage := range map[string]func([]byte) []byte{
		"cut":    func(b []byte) []byte { return b[:8192] },
		"zeroed": func(b []byte) []byte { return make([]byte, len(b)) },
		"gone":   func([]byte) []byte { return nil },
	} {
		n.close()
		data, err := os.ReadFile(db)
		if err != nil {
			t.Fatal(err)
		}
		if bad := damage(data); bad == nil {
			os.Remove(db)
		} else if err := os.WriteFile(db, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.open(); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%s: %v", what, err)
		}
		if err := c.nodes[0].Remove(t.Context(), "n2"); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(n.config.DataDir)
		c.join(n)
		c.has(n, "s199")
	}
}
