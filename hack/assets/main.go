// Command assets compresses the programs that a node carries inside and writes down what they must be once unpacked.
//
//	assets DIR NAME...
//
// For each DIR/NAME it writes DIR/NAME.zst, and one DIR/manifest.json with the size and SHA-256 of every uncompressed program, so
// that a node never has to read megabytes of itself only to name them. Each program is packed as its difference from the one before:
// they have much of Go's library in common. It is a Go program so that a build needs no zstd command.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// windowSize covers a program and the one before, so that its end can refer to the beginning of that one.
const windowSize = 32 << 20

// entry is one program in the manifest.
type entry struct {
	SHA256 string `json:"sha256"`
	Size   int    `json:"size"`
	Base   string `json:"base,omitempty"` // the sum of the program before
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: assets DIR NAME...")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

// pack compresses what changed. The manifest is written last: it is the proof that the archives beside it are complete.
func pack(dir string, names []string) error {
	path := filepath.Join(dir, "manifest.json")
	before, after := readManifest(path), map[string]entry{}
	var last entry
	var base []byte
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(raw)
		last = entry{SHA256: hex.EncodeToString(sum[:]), Size: len(raw), Base: last.SHA256}
		after[name] = last
		archive := filepath.Join(dir, name+".zst")
		if _, err := os.Stat(archive); err != nil || before[name] != last {
			if err := compress(archive, raw, base); err != nil {
				return fmt.Errorf("compress %s: %w", name, err)
			}
		}
		base = raw
	}
	data, err := json.MarshalIndent(after, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(data, '\n'))
}

// readManifest returns nothing where there is no readable manifest: then everything is packed anew.
func readManifest(path string) map[string]entry {
	m := map[string]entry{}
	if data, err := os.ReadFile(path); err != nil || json.Unmarshal(data, &m) != nil {
		return nil
	}
	return m
}

func compress(archive string, raw, base []byte) error {
	options := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(windowSize)}
	if base != nil {
		options = append(options, zstd.WithEncoderDictRaw(1, base))
	}
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return err
	}
	packed := w.EncodeAll(raw, nil)
	fmt.Printf("%s: %d -> %d bytes\n", archive, len(raw), len(packed))
	return errors.Join(w.Close(), replace(archive, packed))
}

// replace never leaves half a file behind: a build may be interrupted.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".tmp", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
