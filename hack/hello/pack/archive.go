package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"path"
	"strings"

	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// file is an entry of a tar archive; a name that ends in a slash is a folder.
type file struct {
	name string
	mode int64
	data []byte
}

// base is what a program expects of any machine: users, and a place for temporary files.
var base = []file{
	{name: "etc/", mode: 0o755},
	{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\napp:x:1000:\n")},
	{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/hello\napp:x:1000:1000:app:/:/hello\n")},
	{name: "tmp/", mode: 0o1777},
}

func layerTar(files []file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// layout is the image as an OCI image layout in a tar archive.
func (img *image) layout(tag string) ([]byte, error) {
	about := img.manifest.descriptor
	about.Platform = &img.platform
	about.Annotations = map[string]string{
		"io.containerd.image.name": tag,
		spec.AnnotationRefName:     tag[strings.LastIndex(tag, ":")+1:],
	}
	index := spec.Index{MediaType: spec.MediaTypeImageIndex, Manifests: []spec.Descriptor{about}}
	index.SchemaVersion = 2
	indexJSON, err := json.Marshal(index)
	if err != nil {
		return nil, err
	}
	version, err := json.Marshal(spec.ImageLayout{Version: spec.ImageLayoutVersion})
	if err != nil {
		return nil, err
	}
	files := []file{
		{name: spec.ImageLayoutFile, mode: 0o644, data: version},
		{name: spec.ImageIndexFile, mode: 0o644, data: indexJSON},
	}
	for _, b := range append([]blob{img.manifest, img.config}, img.layers...) {
		d := b.descriptor.Digest
		files = append(files, file{name: path.Join(spec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), mode: 0o644, data: b.data})
	}
	return layerTar(files)
}

// docker is the image as docker save writes it (before it learnt the OCI layout too).
func (img *image) docker(tag string) ([]byte, error) {
	var entry struct {
		Config           string
		RepoTags, Layers []string
	}
	entry.Config = img.config.descriptor.Digest.Encoded() + ".json"
	entry.RepoTags = []string{tag}
	files := []file{{name: entry.Config, mode: 0o644, data: img.config.data}}
	for _, layer := range img.plain {
		name := layer.descriptor.Digest.Encoded() + "/layer.tar"
		entry.Layers = append(entry.Layers, name)
		files = append(files, file{name: name, mode: 0o644, data: layer.data})
	}
	manifest, err := json.Marshal([]any{entry})
	if err != nil {
		return nil, err
	}
	return layerTar(append(files, file{name: "manifest.json", mode: 0o644, data: manifest}))
}
