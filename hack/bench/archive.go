package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// archive is an image in an OCI archive, of one layer that packs well and one that does not.
type archive struct {
	path   string
	name   string
	size   int64 // of the archive
	plain  int64 // of the layers' files
	layers []string
}

const layerSize = 100 * mib

// newArchive makes an archive, and each number another one.
func newArchive(dir string, number int) (archive, error) {
	a := archive{path: filepath.Join(dir, fmt.Sprintf("image-%d.tar", number)), name: fmt.Sprintf("warren.io/bench:%d", number)}
	random := rand.New(rand.NewPCG(uint64(number), 1))
	config := spec.Image{Platform: spec.Platform{OS: "linux", Architecture: runtime.GOARCH}, RootFS: spec.RootFS{Type: "layers"}}
	manifest := spec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: spec.MediaTypeImageManifest}
	blobs := map[string][]byte{}
	keep := func(mediaType string, data []byte) spec.Descriptor {
		d := digest.FromBytes(data)
		blobs[filepath.Join(spec.ImageBlobsDir, "sha256", d.Encoded())] = data
		return spec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
	}
	for i, fill := range []func(*rand.Rand, []byte){noise8, words} {
		plain, packed, err := layer(fmt.Sprintf("part%d", i), random, fill)
		if err != nil {
			return a, err
		}
		d := keep(spec.MediaTypeImageLayerGzip, packed)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, plain)
		manifest.Layers, a.layers, a.plain = append(manifest.Layers, d), append(a.layers, d.Digest.Encoded()), a.plain+layerSize
	}
	manifest.Config = keep(spec.MediaTypeImageConfig, encoded(config))
	about := keep(spec.MediaTypeImageManifest, encoded(manifest))
	about.Annotations = map[string]string{"io.containerd.image.name": a.name}
	blobs[spec.ImageLayoutFile] = encoded(spec.ImageLayout{Version: spec.ImageLayoutVersion})
	blobs[spec.ImageIndexFile] = encoded(spec.Index{Versioned: manifest.Versioned, Manifests: []spec.Descriptor{about}})
	err := a.write(blobs)
	return a, err
}

func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs
	}
	return data
}

// layer packs files of 1 MiB.
func layer(name string, random *rand.Rand, fill func(*rand.Rand, []byte)) (plain digest.Digest, packed []byte, err error) {
	var out bytes.Buffer
	sum := digest.SHA256.Digester()
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return "", nil, err
	}
	t := tar.NewWriter(io.MultiWriter(z, sum.Hash()))
	data := make([]byte, mib)
	for i := range layerSize / mib {
		fill(random, data)
		if err := put(t, fmt.Sprintf("%s-%d", name, i), data); err != nil {
			return "", nil, err
		}
	}
	if err := t.Close(); err != nil {
		return "", nil, err
	}
	err = z.Close()
	return sum.Digest(), out.Bytes(), err
}

func put(t *tar.Writer, name string, data []byte) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err := t.Write(data)
	return err
}

// noise8 is eight random bytes after the other: nothing packs that.
func noise8(random *rand.Rand, data []byte) {
	for i := 0; i+8 <= len(data); i += 8 {
		n := random.Uint64()
		for j := range 8 {
			data[i+j] = byte(n >> (8 * j))
		}
	}
}

// words is text of a thousand words.
func words(random *rand.Rand, data []byte) {
	for i := 0; i < len(data); {
		i += copy(data[i:], fmt.Appendf(nil, "word%d ", random.IntN(1000)))
	}
}

func (a *archive) write(blobs map[string][]byte) error {
	f, err := os.Create(a.path)
	if err != nil {
		return err
	}
	defer f.Close()
	t := tar.NewWriter(f)
	for name, data := range blobs {
		if err := put(t, name, data); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		a.size = info.Size()
		err = f.Sync()
	}
	return err
}
