package containerd

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

//go:embed assets
var embedded embed.FS

// errNoAssets is returned by a binary that was built without hack/build-assets.
var errNoAssets = errors.New("this binary carries no shim and runc: build it with hack/build-assets")

// programs are the two executables that every task needs, at their place on this machine.
type programs struct {
	dir        string // DATA/bin/<hash>
	shim, runc string
}

type asset struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

var assetNames = []string{"shim", "runc"}

// unpack puts the programs that from carries under bin, in a folder named by their contents, or finds them there. Folders of
// other versions are left alone: shims that were started from them may still run.
func unpack(from fs.FS, bin string) (programs, error) {
	data, err := fs.ReadFile(from, "assets/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return programs{}, errNoAssets
	}
	if err != nil {
		return programs{}, fmt.Errorf("read assets: %w", err)
	}
	manifest := map[string]asset{}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return programs{}, fmt.Errorf("read assets/manifest.json: %w", err)
	}
	dir := filepath.Join(bin, folderName(manifest))
	p := programs{dir: dir, shim: filepath.Join(dir, "shim"), runc: filepath.Join(dir, "runc")}
	if complete(dir, manifest) {
		return p, nil
	}
	if err := unpackTo(from, dir, manifest); err != nil {
		return programs{}, fmt.Errorf("unpack programs to %s: %w", dir, err)
	}
	return p, nil
}

func folderName(manifest map[string]asset) string {
	h := sha256.New()
	for _, name := range assetNames {
		fmt.Fprintln(h, name, manifest[name].SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// complete looks at sizes only: the folder appeared by a rename after its files had been verified and synced.
func complete(dir string, manifest map[string]asset) bool {
	for _, name := range assetNames {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() != manifest[name].Size {
			return false
		}
	}
	return true
}

func unpackTo(from fs.FS, dir string, manifest map[string]asset) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	var before []byte
	for _, name := range assetNames {
		if before, err = unpackFile(from, name, filepath.Join(tmp, name), manifest[name], before); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // damaged, or it would have been complete
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// unpackFile writes a program, which is packed as its difference from the one before, and returns it.
func unpackFile(from fs.FS, name, to string, want asset, before []byte) ([]byte, error) {
	packed, err := fs.ReadFile(from, "assets/"+name+".zst")
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderDictRaw(1, before))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, make([]byte, 0, want.Size))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != want.SHA256 {
		return nil, fmt.Errorf("%s does not match its checksum", name)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(raw)
	return raw, errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
