package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Why a small value cannot be sealed or opened. Use errors.Is.
var (
	ErrLocked    = errors.New("the secrets of the cluster are locked")
	ErrUnlockKey = errors.New("the unlock key is not the one of this cluster")
)

const (
	ringMark   = "WK1" // before a data key that is wrapped
	valueMark  = "WS1" // before a value that is sealed
	keySize    = 32
	nonceSize  = 12
	keyIDSize  = 8
	unlockSize = 32
)

// NewUnlockKey makes an unlock key of 256 random bits, as text that can be read out.
func NewUnlockKey() string {
	key := make([]byte, unlockSize)
	rand.Read(key) // never fails
	return unlockText(key)
}

var unlockCode = base32.StdEncoding.WithPadding(base32.NoPadding)

func unlockText(key []byte) string { return unlockCode.EncodeToString(key) }

// ParseUnlockKey reads what NewUnlockKey made, as people write it.
func ParseUnlockKey(text string) (string, error) {
	text = strings.ToUpper(strings.Join(strings.Fields(text), ""))
	if key, err := unlockCode.DecodeString(text); err != nil || len(key) != unlockSize {
		return "", errors.New("this is no unlock key; one has 52 letters and digits: 32 bytes as base32")
	}
	return text, nil
}

// Ring seals small values, such as keys and passwords, with AES-256-GCM and a random data key that is the same for all of them.
// The data key is kept wrapped with a key that PBKDF2-HMAC-SHA256 makes of the unlock key in 600,000 rounds. The zero Ring is locked.
type Ring struct {
	mu   sync.RWMutex
	id   []byte
	aead cipher.AEAD
}

// Make begins with a new data key, and returns it wrapped.
func (r *Ring) Make(unlock string) (wrapped string, err error) {
	key, salt := make([]byte, keySize), make([]byte, saltSize)
	rand.Read(key)
	rand.Read(salt)
	head := append(binary.BigEndian.AppendUint32([]byte(ringMark), rounds), salt...)
	outer, err := wrapping(head, unlock)
	if err != nil {
		return "", err
	}
	if err := r.use(key); err != nil {
		return "", err
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return base64.StdEncoding.EncodeToString(outer.Seal(append(bytes.Clone(head), nonce...), nonce, key, head)), nil
}

// Unlock opens a data key that was wrapped.
func (r *Ring) Unlock(wrapped, unlock string) error {
	const headSize = len(ringMark) + 4 + saltSize
	data, err := base64.StdEncoding.DecodeString(wrapped)
	if err != nil || len(data) < headSize+nonceSize || string(data[:len(ringMark)]) != ringMark {
		return fmt.Errorf("unlock: %w", ErrNotSealed)
	}
	outer, err := wrapping(data[:headSize], unlock)
	if err != nil {
		return err
	}
	key, err := outer.Open(nil, data[headSize:headSize+nonceSize], data[headSize+nonceSize:], data[:headSize])
	if err != nil || len(key) != keySize {
		return ErrUnlockKey
	}
	return r.use(key)
}

// wrapping is what a data key is wrapped with, by salt and rounds.
func wrapping(head []byte, unlock string) (cipher.AEAD, error) {
	n := int(binary.BigEndian.Uint32(head[len(ringMark):]))
	if n < rounds || n > maxRounds {
		return nil, fmt.Errorf("unlock: %d rounds: %w", n, ErrDamaged)
	}
	key, err := pbkdf2.Key(sha256.New, unlock, head[len(ringMark)+4:], n, keySize)
	if err != nil {
		return nil, err
	}
	return gcm(key)
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (r *Ring) use(key []byte) error {
	aead, err := gcm(key)
	if err != nil {
		return err
	}
	id := sha256.Sum256(append([]byte("warren data key: "), key...))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id, r.aead = id[:keyIDSize], aead
	return nil
}

// Like makes the ring seal and open as another does.
func (r *Ring) Like(other *Ring) {
	id, aead := other.current()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id, r.aead = id, aead
}

func (r *Ring) current() ([]byte, cipher.AEAD) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.id, r.aead
}

// Locked tells whether nothing can be sealed or opened.
func (r *Ring) Locked() bool {
	_, aead := r.current()
	return aead == nil
}

// Seal encrypts a value; about says what it is, and must be the same when it is opened.
func (r *Ring) Seal(plain, about []byte) (string, error) {
	id, aead := r.current()
	if aead == nil {
		return "", ErrLocked
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	head := append([]byte(valueMark), id...)
	return base64.StdEncoding.EncodeToString(aead.Seal(append(bytes.Clone(head), nonce...), nonce, plain, authenticated(head, about))), nil
}

// Open decrypts a value.
func (r *Ring) Open(sealed string, about []byte) ([]byte, error) {
	const headSize = len(valueMark) + keyIDSize
	id, aead := r.current()
	if aead == nil {
		return nil, ErrLocked
	}
	data, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(data) < headSize+nonceSize || string(data[:len(valueMark)]) != valueMark {
		return nil, ErrNotSealed
	}
	if !bytes.Equal(data[len(valueMark):headSize], id) {
		return nil, fmt.Errorf("it was sealed with another data key: %w", ErrLocked)
	}
	plain, err := aead.Open(nil, data[headSize:headSize+nonceSize], data[headSize+nonceSize:], authenticated(data[:headSize], about))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

func authenticated(head, about []byte) []byte { return append(bytes.Clone(head), about...) }
