package backup

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
)

func packed(t testing.TB, o meta.Object, uid, rev int64) store.Packed {
	t.Helper()
	o.Meta().UID, o.Meta().Revision = uid, rev
	data, err := meta.Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	return store.Packed{Key: o.Key(), JSON: data}
}

func example(t testing.TB) *Backup {
	cluster := meta.New[v1.Cluster](v1.ClusterName)
	cluster.Spec.ID = "C1"
	cluster.SetDefaults()
	web := meta.New[v1.Service]("web")
	web.Spec.Image, web.Spec.Env = "hello:1", v1.Env{{Name: "PASSWORD", Value: "hunter2hunter2"}}
	web.SetDefaults()
	return &Backup{
		Header:  Header{Format: Format, Warren: "0.1", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Cluster: "C1", Node: "n1", Revision: 40},
		Files:   []File{{"ca.crt", []byte("cert")}, {"ca.key", []byte("key")}},
		Objects: []store.Packed{packed(t, cluster, 2, 2), packed(t, web, 7, 40)},
	}
}

func TestFile(t *testing.T) {
	b, path := example(t), filepath.Join(t.TempDir(), "a.backup")
	if err := b.Save(path, "correct horse"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	if info.Mode() != 0o600 || bytes.Contains(data, []byte("hunter2")) || bytes.Contains(data, []byte("web")) {
		t.Errorf("mode %s, %d bytes", info.Mode(), len(data))
	}
	got, err := Open(path, "correct horse")
	if err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("got %+v %v", got, err)
	}
	if _, err := Open(path, "wrong horse"); !errors.Is(err, seal.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := b.Save(filepath.Dir(path), "x"); err == nil {
		t.Error("a folder is written over")
	}
	left := filepath.Join(filepath.Dir(path), unfinishedStart+"1"+unfinishedEnd)
	if err := errors.Join(os.WriteFile(left, nil, 0o600), Clear(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left: %v", all)
	}
}

func text(t testing.TB, b *Backup) string {
	t.Helper()
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReadRefuses(t *testing.T) {
	whole := text(t, example(t))
	lines := strings.SplitAfter(whole, "\n")
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "it is empty"},
		"no end":         {strings.Join(lines[:4], ""), "its end is missing"},
		"a line is lost": {lines[0] + lines[1] + strings.Join(lines[3:], ""), "says that it had"},
		"more":           {whole + "{}\n", "follows its end"},
		"newer":          {strings.Replace(whole, `"format":1`, `"format":2`, 1), "format 2"},
		"a path":         {strings.Replace(whole, "ca.key", "../ca.key", 1), "no key of a cluster"},
		"a node's key":   {strings.Replace(whole, "ca.key", "node.key", 1), "no key of a cluster"},
		"no JSON":        {lines[0] + "x\n", "invalid"},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecode(t *testing.T) {
	if all, err := example(t).Decode(v1.Kinds); err != nil || len(all) != 2 || all[1].Meta().UID != 7 {
		t.Errorf("%v %v", all, err)
	}
	for want, change := range map[string]func(*Backup){
		"it has no Cluster": func(b *Backup) { b.Objects = b.Objects[1:] },
		"is there twice":    func(b *Backup) { b.Objects = append(b.Objects, b.Objects[1]) },
		"of cluster C1":     func(b *Backup) { b.Cluster = "C2" },
		"revision 40 are":   func(b *Backup) { b.Revision = 39 },
		"unknown field": func(b *Backup) {
			b.Objects[1].JSON = bytes.Replace(b.Objects[1].JSON, []byte(`"image"`), []byte(`"imago"`), 1)
		},
	} {
		b := example(t)
		change(b)
		if _, err := b.Decode(v1.Kinds); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// FuzzRead: what is read can be written and read again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(text(f, example(f))))
	f.Add([]byte(`{"format":1}` + "\n" + `{"end":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _ = b.Decode(v1.Kinds)
		again, err := Read(strings.NewReader(text(t, b)))
		if err != nil || len(again.Objects) != len(b.Objects) || len(again.Files) != len(b.Files) {
			t.Errorf("%v", err)
		}
	})
}
