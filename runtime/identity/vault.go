package identity

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/store"
)

// The files of a manager that has the authority's key sealed.
const (
	sealedFile = "ca.sealed"  // the Authority as it is in the store: what a manager needs of it before its store is there
	unlockFile = "unlock.key" // the unlock key
)

// errSealed means that the authority's key is there and cannot be opened.
var errSealed = errors.New("the authority's key is sealed")

// opened keeps what was opened with 600,000 rounds, by directory; and unlock keys that were given and not yet seen to fit.
var opened = struct {
	sync.Mutex
	given map[string]string
	pairs map[string]openedPair
}{given: map[string]string{}, pairs: map[string]openedPair{}}

type openedPair struct {
	sealed, unlock string
	pair           pair
	ring           *seal.Ring
}

// GiveUnlockKey says which unlock key opens the authority in dir, instead of the one that is kept there.
func GiveUnlockKey(dir, text string) error {
	key, err := seal.ParseUnlockKey(text)
	if err != nil {
		return err
	}
	opened.Lock()
	defer opened.Unlock()
	opened.given[dir] = key
	return nil
}

// unlockKey is the one that was given or is kept; fs.ErrNotExist where there is none.
func unlockKey(dir string) (string, error) {
	opened.Lock()
	given := opened.given[dir]
	opened.Unlock()
	if given != "" {
		return given, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, unlockFile))
	if err != nil {
		return "", err
	}
	key, err := seal.ParseUnlockKey(string(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", unlockFile, err)
	}
	return key, nil
}

// keepUnlockKey writes a key down, if it is not there already.
func keepUnlockKey(dir, key string) error {
	if text, err := os.ReadFile(filepath.Join(dir, unlockFile)); err == nil {
		if kept, err := seal.ParseUnlockKey(string(text)); err == nil && kept == key {
			return nil
		}
	}
	return replace(dir, unlockFile, []byte(key+"\n"))
}

// sealedAuthority opens the authority of a manager whose key is sealed; fs.ErrNotExist where there is none.
func sealedAuthority(dir string) (pair, *seal.Ring, error) {
	text, err := os.ReadFile(filepath.Join(dir, sealedFile))
	if err != nil {
		return pair{}, nil, err
	}
	unlock, err := unlockKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return pair{}, nil, fmt.Errorf("%w, and %s is missing; bring it back, or warren run --unlock-key-file FILE", errSealed, unlockFile)
	}
	if err != nil {
		return pair{}, nil, fmt.Errorf("%w: %w", errSealed, err)
	}
	opened.Lock()
	defer opened.Unlock()
	if o := opened.pairs[dir]; o.sealed == string(text) && o.unlock == unlock {
		return o.pair, o.ring, nil
	}
	a := meta.New[v1.Authority]("")
	if err := json.Unmarshal(text, a); err != nil {
		return pair{}, nil, fmt.Errorf("%w: %s: %w", errSealed, sealedFile, err)
	}
	p, ring, err := Unseal(a, unlock)
	if err != nil {
		return pair{}, nil, err
	}
	opened.pairs[dir] = openedPair{string(text), unlock, p, ring}
	return p, ring, nil
}

// Unseal opens an Authority as it is in the store.
func Unseal(a *v1.Authority, unlock string) (pair, *seal.Ring, error) {
	ring := &seal.Ring{}
	if err := ring.Unlock(a.Spec.DataKey, unlock); err != nil {
		return pair{}, nil, fmt.Errorf("%w: %w", errSealed, err)
	}
	o := store.Opened(a, ring).(*v1.Authority)
	if o.Spec.Key.Plain == nil {
		return pair{}, nil, fmt.Errorf("%w: %w", errSealed, seal.ErrDamaged)
	}
	p, err := pairOf(o.Spec.Certificate, o.Spec.Key.Plain)
	return p, ring, err
}

func pairOf(certificate string, key []byte) (pair, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return pair{}, errors.New("the authority has no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return pair{}, err
	}
	k, err := x509.ParseECPrivateKey(key)
	if err == nil && !k.PublicKey.Equal(cert.PublicKey) {
		err = errors.New("the authority's key is not that of its certificate")
	}
	return pair{cert, k}, err
}

// Settle brings the authority of dir into the store, sealed, if it is not there yet; keeps a copy of what is in the store, which the
// next start needs before the store is there; and only then removes the key that is not sealed. Whoever is killed between two
// of these steps does the rest at the next start. The ring is unlocked by it. s is the store below all that seals and shows.
func Settle(ctx context.Context, dir string, s store.Store, ring *seal.Ring) error {
	for {
		o, err := s.Get(ctx, meta.Key{Kind: v1.AuthorityKind.Name, Name: v1.AuthorityName})
		switch {
		case err == nil:
			return settled(dir, o.(*v1.Authority), ring)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := hand(ctx, dir, s); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("seal the authority's key: %w", err)
		}
	}
}

// hand gives the authority to the store. The unlock key is on disk before anything is sealed with it.
func hand(ctx context.Context, dir string, s store.Store) error {
	p, err := authority(dir)
	if err != nil {
		return err
	}
	unlock, err := unlockKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		unlock, err = seal.NewUnlockKey(), nil
	}
	if err == nil {
		err = keepUnlockKey(dir, unlock)
	}
	if err != nil {
		return err
	}
	a, ring := meta.New[v1.Authority](v1.AuthorityName), &seal.Ring{}
	a.Metadata.Created, a.Metadata.Generation = Now().UTC().Truncate(time.Second), 1
	a.Spec.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
	if a.Spec.Key.Plain, err = x509.MarshalECPrivateKey(p.key); err != nil {
		return err
	}
	if a.Spec.DataKey, err = ring.Make(unlock); err != nil {
		return err
	}
	_, err = store.Seal(s, ring).Commit(ctx, store.CreateOp(a))
	return err
}

// settled takes over what is in the store.
func settled(dir string, a *v1.Authority, ring *seal.Ring) error {
	unlock, err := unlockKey(dir)
	if err != nil {
		return fmt.Errorf("unlock key in %s: %w", dir, err)
	}
	p, with, err := Unseal(a, unlock)
	if err != nil {
		return fmt.Errorf("keys in %s: %w", dir, err)
	}
	if plain, err := load(dir, authorityFile); err == nil && !samePair(p, plain) {
		return fmt.Errorf("the authority in %s is not the one in the store; move %s.crt and %s.key away", dir, authorityFile, authorityFile)
	}
	ring.Like(with)
	text, err := meta.Encode(a)
	if err != nil {
		return err
	}
	if was, _ := os.ReadFile(filepath.Join(dir, sealedFile)); !bytes.Equal(was, text) {
		if err := replace(dir, sealedFile, text); err != nil {
			return err
		}
	}
	if err := keepUnlockKey(dir, unlock); err != nil {
		return err
	}
	if err := Believe(dir, a.Spec.Believed()); err != nil {
		return err
	}
	return dropPlain(dir)
}

func samePair(a, b pair) bool { return a.cert.Equal(b.cert) && a.key.Equal(b.key) }

// dropPlain removes the key that is not sealed.
func dropPlain(dir string) error {
	err := os.Remove(filepath.Join(dir, authorityFile+".key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(dir))
}

// Sealed tells whether the authority's key is on disk only sealed.
func Sealed(dir string) bool {
	_, plain := os.Stat(filepath.Join(dir, authorityFile+".key"))
	_, sealed := os.Stat(filepath.Join(dir, sealedFile))
	return errors.Is(plain, fs.ErrNotExist) && sealed == nil
}

// bundle is what a machine needs to become a manager: the authority as it is in the store, and what opens it.
type bundle struct {
	Unlock string `json:"unlock"`
	Sealed []byte `json:"sealed"`
}

// bundled returns it, to be given to a new manager over a connection that nobody else can read.
func bundled(dir string) ([]byte, error) {
	sealed, err := os.ReadFile(filepath.Join(dir, sealedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the authority's key is just being sealed", store.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	unlock, err := unlockKey(dir)
	if err != nil {
		return nil, err
	}
	return json.Marshal(bundle{unlock, sealed})
}

// SaveAuthority keeps what Desk.Key gave; nil is nothing.
func SaveAuthority(dir string, data []byte) error {
	if data == nil {
		return nil
	}
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("the authority that was received: %w", err)
	}
	if err := keepUnlockKey(dir, b.Unlock); err != nil {
		return err
	}
	if err := replace(dir, sealedFile, b.Sealed); err != nil {
		return err
	}
	return dropPlain(dir)
}

// DropAuthority removes what opens the authority from a node that is no manager any more.
func DropAuthority(dir string) error {
	for _, name := range []string{unlockFile, sealedFile, authorityFile + ".key", serverFile + ".crt", serverFile + ".key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
