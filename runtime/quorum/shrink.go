package quorum

import (
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// shrink cuts off the end of the database file that was never used. The database grows in steps of 16 MB, and etcd reads
// the whole file into memory when it opens it: on a small machine most of its memory would be zeros. What goes wrong here
// goes wrong again, and is told better, when etcd opens the file.
func (q *Quorum) shrink() {
	path := filepath.Join(q.config.DataDir, "member", "snap", "db")
	if used := usedBytes(path); used > 0 {
		os.Truncate(path, used)
	}
}

// usedBytes is where the last page that was ever used ends: further than any page that either of the two states in the
// file, the newest and the one before it, refers to.
func usedBytes(path string) (n int64) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return 0
	}
	defer db.Close()
	db.View(func(tx *bolt.Tx) error {
		n = tx.Size()
		return nil
	})
	return n
}
