package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// identity is what a node knows about itself without its store. It lies in DATA_DIR/node.json.
type identity struct {
	Name    string `json:"name"`
	Cluster string `json:"cluster,omitempty"` // empty until the node has belonged to one
	// Epoch is the revision at which the store of this node was recovered last. A store that is not there yet is from before.
	Epoch int64 `json:"epoch,omitempty"`
	// Hold keeps tasks that run here and that the recovered store does not know, until the operator says otherwise.
	Hold bool `json:"hold,omitempty"`
	// Role is worker for a node that has joined as one, empty for a manager.
	Role v1.Role `json:"role,omitempty"`
	// Managers are where a node finds them; of a manager, the others.
	Managers []string `json:"managers,omitempty"`
	// Listen and Advertise are those of a node that has joined, for a start without the flags.
	Listen    string `json:"listen,omitempty"`
	Advertise string `json:"advertise,omitempty"`
}

// worker tells whether the node has no store of its own.
func (id identity) worker() bool { return id.Role == v1.RoleWorker }

func (id identity) role() v1.Role {
	if id.worker() {
		return v1.RoleWorker
	}
	return v1.RoleManager
}

// identityName is the file of an identity; a data directory is known by it.
const identityName = "node.json"

// loadIdentity reads who this node is, or decides it now. A node keeps its name for life.
func loadIdentity(dir, wanted string) (identity, error) {
	id, err := readIdentity(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if id.Name = wanted; wanted == "" {
			id.Name = defaultName()
		}
		return id, id.save(dir)
	case err != nil:
		return id, err
	}
	if wanted != "" && wanted != id.Name {
		return id, fmt.Errorf("--node-name %s: this node is called %s since its first start; leave the flag out, or use another --data-dir", wanted, id.Name)
	}
	return id, nil
}

// readIdentity reads who a node is; fs.ErrNotExist where there is none.
func readIdentity(dir string) (id identity, err error) {
	path := filepath.Join(dir, identityName)
	data, err := os.ReadFile(path)
	if err != nil {
		return id, fmt.Errorf("read identity of this node: %w", err)
	}
	if err := json.Unmarshal(data, &id); err != nil || id.Name == "" {
		return id, fmt.Errorf("read identity of this node: %s is damaged; restore it as {\"name\": NAME, \"cluster\": ID} or run warren reset", path)
	}
	return id, nil
}

// save replaces the file as a whole: after a power cut there is the old or the new one.
func (id identity) save(dir string) error {
	data, err := json.Marshal(id)
	if err == nil {
		err = writeFile(filepath.Join(dir, identityName), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write identity of this node: %w", err)
	}
	return nil
}

func writeFile(path string, data []byte) error {
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func newClusterID() string { return rand.Text()[:16] }

// errLocked means that another warren works in the same data directory.
var errLocked = errors.New("another warren is using it")

// lockName is the lock in the data directory and in the run directory. Whoever waits for the latter waits for the process.
const lockName = "lock"

// A process that was killed holds its locks until the kernel has taken it apart.
const (
	lockPatience = 2 * time.Second
	lockAgain    = 50 * time.Millisecond
)

// lockDir keeps a second warren out of a directory. The lock goes with the process, however it ends.
func lockDir(dir string, mode os.FileMode) (*os.File, error) {
	if err := os.MkdirAll(dir, mode); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(lockPatience); ; time.Sleep(lockAgain) {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("directory %s: %w", dir, errLocked), f.Close())
	}
	return f, nil
}
