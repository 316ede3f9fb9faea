package contexts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestChange(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "config.yaml")
	failed := errors.New("no")
	if err := Change(path, func(*Config) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("left after a failure: %v", left)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := Change(path, func(c *Config) error {
				c.Put(Context{Name: fmt.Sprint("c", i), Servers: []string{"h:1"}})
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c, err := Load(path)
	if err != nil || len(c.Contexts) != 20 {
		t.Fatalf("%d contexts, %v", len(c.Contexts), err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if s, err := os.Stat(p); err != nil || s.Mode() != want {
			t.Errorf("%s: %v %v", p, s.Mode(), err)
		}
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("beside the file: %v", files)
	}
	before, _ := os.ReadFile(path)
	if err := Change(path, func(c *Config) error { c.Contexts = nil; return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("a change that failed is written")
	}
}

func TestParse(t *testing.T) {
	for text, says := range map[string]string{
		"contexts: [{name: a, servers: ['h:1']}, {name: a, servers: ['h:1']}]": "twice",
		"contexts: [{name: '', servers: ['h:1']}]":                             "no name for a context",
		"contexts: [{name: a}]":                                                "no servers",
		"contexts: [{name: a, servers: [h]}]":                                  "HOST:PORT",
		"context: []":                                                          "unknown field",
		"- a":                                                                  "",
		strings.Repeat("#", MaxFile+1):                                         "bytes",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestDelete(t *testing.T) {
	c := Config{Current: "a", Contexts: []Context{{Name: "a"}, {Name: "b"}}}
	if err := c.Delete("a"); err != nil || c.Current != "" || len(c.Contexts) != 1 {
		t.Errorf("%+v %v", c, err)
	}
	if err := c.Delete("a"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

// FuzzParse: whatever is in the file, it is read as what is written back, or refused.
func FuzzParse(f *testing.F) {
	f.Add([]byte("currentContext: a\ncontexts:\n- name: a\n  servers: ['192.0.2.1:7070']\n  ca: x\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		for _, x := range c.Contexts {
			_, _ = x.Open()
			_ = x.Pin()
		}
		text, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text)
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", c) {
			t.Fatalf("%q is read as %+v and then as %+v, %v", data, c, again, err)
		}
	})
}
