package treetar

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// look lists a tree: mode, time, size or target of each thing.
func look(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		what := ""
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			what = string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			what, _ = os.Readlink(p)
		}
		name, _ := filepath.Rel(dir, p)
		line := fmt.Sprint(name, " ", info.Mode(), " ", what)
		if info.Mode()&fs.ModeSymlink == 0 {
			line += info.ModTime().UTC().Format(" 15:04:05")
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestThereAndBack(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	long := strings.Repeat("long", 50)
	must(t, os.MkdirAll(src+"/a/b/empty", 0o755), os.WriteFile(src+"/a/run", []byte("#!"), 0o751), os.WriteFile(src+"/a/b/"+long, []byte("x"), 0o600),
		os.Symlink("../../../etc/passwd", src+"/a/up"), os.Symlink("/nowhere", src+"/a/b/gone"), os.Mkdir(src+"/a/locked", 0o755),
		os.WriteFile(src+"/a/locked/f", nil, 0o400), os.Chmod(src+"/a/locked", 0o500), syscall.Mkfifo(src+"/a/pipe", 0o600),
		os.Chtimes(src+"/a/run", at, at), os.Chtimes(src+"/a/b/empty", at, at), os.Chtimes(src+"/a/locked", at, at))
	var archive bytes.Buffer
	must(t, Pack(t.Context(), open(t, src), "a", &archive))
	var skipped []string
	must(t, Unpack(open(t, dst), "new", bytes.NewReader(archive.Bytes()), Options{Skipped: func(n string) { skipped = append(skipped, n) }}))
	must(t, os.Remove(src+"/a/pipe"))
	if !slices.Equal(skipped, []string{"pipe"}) {
		t.Errorf("skipped %q", skipped)
	}
	want, got := look(t, src+"/a"), look(t, dst+"/new")
	if len(want) != 9 || fmt.Sprint(want[1:]) != fmt.Sprint(got[1:]) { // but for the folder that lost its pipe
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Again over what is there: the same, and what else is there stays.
	must(t, os.WriteFile(dst+"/new/own", nil, 0o600))
	must(t, Unpack(open(t, dst), "new", bytes.NewReader(archive.Bytes()), Options{}))
	if now := look(t, dst+"/new"); len(now) != len(got)+1 {
		t.Errorf("a second time:\n%s", strings.Join(now, "\n"))
	}
}

// pack makes an archive as nobody but an attacker would.
func pack(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o777
		if h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		must(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte("evil"))
			must(t, err)
		}
	}
	must(t, w.Close())
	return &b
}

// TestNothingEscapes: neither names nor links lead out of the place, and what was outside is as it was.
func TestNothingEscapes(t *testing.T) {
	dir, reg, link := tar.Header{Name: ".", Typeflag: tar.TypeDir}, byte(tar.TypeReg), byte(tar.TypeSymlink)
	attacks := map[string][]tar.Header{
		"name up":            {dir, {Name: "../out", Typeflag: reg}},
		"deep name up":       {dir, {Name: "a/../../out", Typeflag: reg}},
		"absolute name":      {dir, {Name: "/tmp/out", Typeflag: reg}},
		"link up":            {dir, {Name: "l", Typeflag: link, Linkname: ".."}, {Name: "l/out", Typeflag: reg}},
		"absolute link":      {dir, {Name: "l", Typeflag: link, Linkname: "OUTSIDE"}, {Name: "l/out", Typeflag: reg}},
		"link to a file":     {dir, {Name: "l", Typeflag: link, Linkname: "OUTSIDE/kept"}, {Name: "l", Typeflag: tar.TypeDir}},
		"no thing itself":    {{Name: "a", Typeflag: reg}},
		"directory via link": {dir, {Name: "l", Typeflag: link, Linkname: "OUTSIDE"}, {Name: "l", Typeflag: tar.TypeDir}, {Name: "l/out", Typeflag: reg}},
	}
	for name, headers := range attacks {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			must(t, os.Mkdir(top+"/in", 0o755), os.Mkdir(top+"/outside", 0o755), os.WriteFile(top+"/outside/kept", []byte("kept"), 0o644))
			for i := range headers {
				headers[i].Linkname = strings.ReplaceAll(headers[i].Linkname, "OUTSIDE", top+"/outside")
			}
			if err := Unpack(open(t, top+"/in"), "x", pack(t, headers...), Options{}); err == nil {
				t.Error("accepted")
			}
			data, err := os.ReadFile(top + "/outside/kept")
			entries, _ := os.ReadDir(top + "/outside")
			up, _ := os.ReadDir(top)
			if err != nil || string(data) != "kept" || len(entries) != 1 || len(up) != 2 {
				t.Errorf("outside: %q %v, %d and %d entries", data, err, len(entries), len(up))
			}
		})
	}
	// A file replaces a link instead of writing through it.
	top := t.TempDir()
	must(t, os.WriteFile(top+"/kept", []byte("kept"), 0o644), os.Mkdir(top+"/in", 0o755), os.Symlink("../kept", top+"/in/x"))
	must(t, Unpack(open(t, top+"/in"), "x", pack(t, tar.Header{Name: ".", Typeflag: reg}), Options{}))
	if data, _ := os.ReadFile(top + "/kept"); string(data) != "kept" {
		t.Errorf("written through a link: %q", data)
	}
}

func TestTarget(t *testing.T) {
	dirs := []string{"/", "/etc", "here", "."}
	for _, c := range []struct{ dst, dir, name string }{
		{"/etc", "/etc", "src"}, {"/etc/new", "/etc/", "new"}, {"/", "/", "src"}, {"new", ".", "new"}, {"here", "here", "src"}, {"/etc/none/", "", ""}, {"..", "", ""},
	} {
		dir, name, err := Target(c.dst, "src", func(p string) bool { return slices.Contains(dirs, p) })
		if dir != c.dir || name != c.name || (err != nil) != (c.name == "") {
			t.Errorf("%s: %q %q %v", c.dst, dir, name, err)
		}
	}
}

// FuzzUnpack: whatever an archive says, nothing is made outside.
func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: ".", Typeflag: tar.TypeDir, Mode: 0o755})
	_ = w.WriteHeader(&tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."})
	_ = w.WriteHeader(&tar.Header{Name: "l/x", Typeflag: tar.TypeReg, Mode: 0o644})
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		top := t.TempDir()
		must(t, os.Mkdir(top+"/in", 0o755))
		_ = Unpack(open(t, top+"/in"), "x", bytes.NewReader(archive), Options{})
		if up, _ := os.ReadDir(top); len(up) != 1 {
			t.Errorf("outside: %v", up)
		}
		_ = filepath.WalkDir(top, func(p string, e fs.DirEntry, _ error) error { return os.Chmod(top, 0o755) })
	})
}
