package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"warren.io/warren/runtime/seal"
)

// unfinished is how the names of files begin and end that a kill may leave behind. They are nobody's backup.
const unfinishedStart, unfinishedEnd = ".warren-backup-", ".unfinished"

// Save seals a backup into a file, for its owner only. Under its name there is never less than the whole: it is written beside,
// brought to disk and renamed.
func (b *Backup) Save(path, passphrase string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("write backup: %s is a folder; name a file in it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), unfinishedStart+"*"+unfinishedEnd) // mode 0600
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	err = b.fill(f, passphrase)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write backup %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("write backup %s: %w", path, err)
	}
	return nil
}

func (b *Backup) fill(f *os.File, passphrase string) error {
	w, err := seal.NewWriter(f, passphrase)
	if err == nil {
		err = b.Write(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// Open reads a sealed file, all of it.
func Open(path, passphrase string) (*Backup, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open backup: %w", err)
	}
	defer f.Close()
	r, err := seal.NewReader(f, passphrase)
	if err != nil {
		return nil, fmt.Errorf("open backup %s: %w", path, err)
	}
	b, err := Read(r)
	if err != nil {
		return nil, fmt.Errorf("open backup %s: %w", path, err)
	}
	return b, nil
}

// Clear removes what kills have left of files that were being written in a directory that nobody else writes to.
func Clear(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinishedStart) && strings.HasSuffix(e.Name(), unfinishedEnd) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
