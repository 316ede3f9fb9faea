package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

const tag = "warren.io/hello:7"

var arm64 = spec.Platform{OS: "linux", Architecture: "arm64"}

func packed(t *testing.T, program string) *image {
	t.Helper()
	img, err := newImage([]byte(program), arm64)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestLayout reads the archive back with another's code, which checks every digest and size.
func TestLayout(t *testing.T) {
	img := packed(t, "a program")
	data, err := img.layout(tag)
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.FromPath(unpack(t, data))
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("index %+v, %v", manifest, err)
	}
	d := manifest.Manifests[0]
	if d.Annotations["io.containerd.image.name"] != tag || d.Annotations[spec.AnnotationRefName] != "7" {
		t.Errorf("annotations %v", d.Annotations)
	}
	if d.Platform == nil || d.Platform.Architecture != "arm64" {
		t.Errorf("platform %v", d.Platform)
	}
	if d.Digest.String() != img.manifest.descriptor.Digest.String() {
		t.Errorf("digest %s in the index, %s printed", d.Digest, img.manifest.descriptor.Digest)
	}
	read, err := path.Image(d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	checkImage(t, read, "a program")
}

func TestDockerArchive(t *testing.T) {
	data, err := packed(t, "a program").docker(tag)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkImage(t, read, "a program")
}

func TestSameInputSameBytes(t *testing.T) {
	for name, write := range map[string]func(*image, string) ([]byte, error){"layout": (*image).layout, "docker": (*image).docker} {
		first, err1 := write(packed(t, "a program"), tag)
		second, err2 := write(packed(t, "a program"), tag)
		other, err3 := write(packed(t, "another one"), tag)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) || bytes.Equal(first, other) {
			t.Errorf("%s: the bytes do not follow from the program alone", name)
		}
	}
	if a, b := packed(t, "1"), packed(t, "2"); a.layers[0].descriptor.Digest != b.layers[0].descriptor.Digest {
		t.Error("a new program changed the layer below it")
	}
}

func checkImage(t *testing.T, img v1.Image, program string) {
	t.Helper()
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.Architecture != "arm64" || c.Config.Entrypoint[0] != "/hello" || c.Config.User != "" {
		t.Errorf("config %+v", c)
	}
	if _, ok := c.Config.ExposedPorts["8080/tcp"]; !ok {
		t.Errorf("exposed ports %v", c.Config.ExposedPorts)
	}
	modes := map[string]int64{}
	content := map[string]string{}
	r := mutate.Extract(img)
	defer r.Close()
	eachFile(t, r, func(h *tar.Header, data []byte) {
		modes[filepath.Clean(h.Name)], content[filepath.Clean(h.Name)] = h.Mode, string(data)
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s carries an owner or a time: %+v", h.Name, h)
		}
	})
	if content["hello"] != program || modes["hello"] != 0o755 || modes["tmp"] != 0o1777 {
		t.Errorf("files %v, modes %v", content, modes)
	}
	if content["etc/passwd"] == "" || content["etc/group"] == "" {
		t.Errorf("no users in %v", content)
	}
}

func unpack(t *testing.T, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	eachFile(t, bytes.NewReader(data), func(h *tar.Header, data []byte) {
		path := filepath.Join(dir, h.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	})
	return dir
}

func eachFile(t *testing.T, r io.Reader, visit func(*tar.Header, []byte)) {
	t.Helper()
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		visit(h, data)
	}
}
