package main

import (
	"bytes"
	"compress/gzip"
	_ "crypto/sha256" // the digest package takes its algorithms from what is linked
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blob is content with what a manifest says of it.
type blob struct {
	descriptor spec.Descriptor
	data       []byte
}

// image is the whole of it: the manifest names the config and the layers.
type image struct {
	platform         spec.Platform
	manifest, config blob
	layers           []blob
	plain            []blob // the layers, not compressed, as docker save has them
}

// newImage makes two layers, so that a new program does not change what lies below it.
func newImage(program []byte, platform spec.Platform) (*image, error) {
	img := &image{platform: platform}
	for _, files := range [][]file{base, {{name: "hello", mode: 0o755, data: program}}} {
		plain, err := layerTar(files)
		if err != nil {
			return nil, err
		}
		packed, err := zip(plain)
		if err != nil {
			return nil, err
		}
		img.plain = append(img.plain, newBlob(spec.MediaTypeImageLayer, plain))
		img.layers = append(img.layers, newBlob(spec.MediaTypeImageLayerGzip, packed))
	}
	var err error
	if img.config, err = jsonBlob(spec.MediaTypeImageConfig, img.configuration()); err != nil {
		return nil, err
	}
	manifest := spec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: spec.MediaTypeImageManifest, Config: img.config.descriptor}
	for _, layer := range img.layers {
		manifest.Layers = append(manifest.Layers, layer.descriptor)
	}
	img.manifest, err = jsonBlob(spec.MediaTypeImageManifest, manifest)
	return img, err
}

// configuration leaves the user to root, so that a service's own user can be seen to take effect.
func (img *image) configuration() spec.Image {
	c := spec.Image{
		Platform: img.platform,
		Config: spec.ImageConfig{
			Entrypoint:   []string{"/hello"},
			Env:          []string{"PATH=/"},
			WorkingDir:   "/",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			StopSignal:   "SIGTERM",
			Labels:       map[string]string{spec.AnnotationTitle: "hello", spec.AnnotationDescription: "says who and where it is"},
		},
		RootFS: spec.RootFS{Type: "layers"},
	}
	for _, layer := range img.plain {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, layer.descriptor.Digest)
	}
	return c
}

func newBlob(mediaType string, data []byte) blob {
	return blob{
		descriptor: spec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))},
		data:       data,
	}
}

func jsonBlob(mediaType string, v any) (blob, error) {
	data, err := json.Marshal(v)
	return newBlob(mediaType, data), err
}

func zip(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
