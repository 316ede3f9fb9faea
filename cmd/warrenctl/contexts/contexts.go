// Package contexts is the file in which warrenctl keeps the clusters that a person has logged in to: where their managers are, and
// what is shown to them.
package contexts

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"warren.io/warren/runtime/identity"
)

// MaxFile is the most that a file may hold.
const MaxFile = 1 << 20

// Config is the content of the file.
type Config struct {
	// Current is the context that is used where none is named.
	Current  string    `json:"currentContext,omitempty"`
	Contexts []Context `json:"contexts,omitempty"`
}

// Context is one cluster, and who one is there.
type Context struct {
	Name string `json:"name"`
	// Servers are HOST:PORT of managers, in the order in which they are tried.
	Servers []string `json:"servers"`
	identity.Papers
}

// ErrNone means that there is no context of a name.
var ErrNone = errors.New("there is no such context")

// Parse reads the text of a file, strictly.
func Parse(data []byte) (Config, error) {
	var c Config
	if len(data) > MaxFile {
		return c, fmt.Errorf("it has %d bytes; at most %d are read", len(data), MaxFile)
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return Config{}, errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	seen := map[string]bool{}
	for _, x := range c.Contexts {
		if err := CheckName(x.Name); err != nil {
			return Config{}, err
		}
		if seen[x.Name] {
			return Config{}, fmt.Errorf("the context %q is there twice", x.Name)
		}
		seen[x.Name] = true
		if err := CheckServers(x.Servers); err != nil {
			return Config{}, fmt.Errorf("context %q: %w", x.Name, err)
		}
	}
	return c, nil
}

// CheckName tells what is wrong with the name of a context.
func CheckName(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\'' || r == '"' }
	if name == "" || len(name) > 253 || name[0] == '-' || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q is no name for a context: 1 to 253 characters without spaces and quotes, not beginning with -", name)
	}
	return nil
}

// CheckServers tells what is wrong with a list of managers.
func CheckServers(servers []string) error {
	if len(servers) == 0 {
		return errors.New("it has no servers; write HOST:PORT,HOST:PORT")
	}
	for _, s := range servers {
		if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
			return fmt.Errorf("server %q: write HOST:PORT", s)
		}
	}
	return nil
}

// Load reads a file. One that is not there holds no contexts.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, err // names the file by itself
	}
	c, err := Parse(data)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Find is the context of a name.
func (c *Config) Find(name string) (*Context, error) {
	for i := range c.Contexts {
		if c.Contexts[i].Name == name {
			return &c.Contexts[i], nil
		}
	}
	return nil, fmt.Errorf("context %q: %w", name, ErrNone)
}

// Put adds a context, or replaces the one of its name.
func (c *Config) Put(x Context) {
	if old, err := c.Find(x.Name); err == nil {
		*old = x
		return
	}
	c.Contexts = append(c.Contexts, x)
}

// Delete removes a context. If it was the current one, there is none.
func (c *Config) Delete(name string) error {
	if _, err := c.Find(name); err != nil {
		return err
	}
	c.Contexts = slices.DeleteFunc(c.Contexts, func(x Context) bool { return x.Name == name })
	if c.Current == name {
		c.Current = ""
	}
	return nil
}

// Change lets f change what is in a file, and writes it as a whole. Nobody else changes it meanwhile. That it can be written is
// found out before f is called; if f fails, nothing is left that was not there before.
func Change(path string, f func(*Config) error) (err error) {
	dir := filepath.Dir(path)
	made, err := makeDir(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			for _, d := range made {
				_ = os.Remove(d) // where it is empty
			}
		}
	}()
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	c, err := Load(path)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".config-*") // 0600 by its nature
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := f(&c); err != nil {
		return err
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return folder.Sync()
}

// makeDir makes a directory for its owner alone, and says what it made, the innermost first.
func makeDir(dir string) (made []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || filepath.Dir(d) == d {
			break
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o700)
}
