// Package seal encrypts a stream with a passphrase, so that whoever reads it back knows that it is whole: changed, cut off,
// re-ordered or lengthened, it is refused. Nothing is given out before it was authenticated, chunk by chunk.
//
// A sealed stream is a header and chunks. The header is 60 bytes: the magic, the rounds of PBKDF2-HMAC-SHA256 as 4 bytes in
// network order, a random salt of 24 bytes, and a check by which a wrong passphrase is told from damage. The key of AES-256-GCM
// comes from passphrase and salt, so it is used for this stream only. Each chunk holds 64 KiB, the last one 0 to 64 KiB; its nonce
// is its number and whether it is the last (the construction STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015); the header is
// authenticated with each.
package seal

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Why a stream cannot be opened. Use errors.Is.
var (
	ErrNotSealed  = errors.New("is not sealed by warren")
	ErrPassphrase = errors.New("the passphrase is wrong, or the first bytes are damaged")
	ErrDamaged    = errors.New("is damaged: it is not what was written")
	ErrCutOff     = errors.New("is cut off: its end is missing")
)

const (
	magic     = "WARREN-SEALED-1\n"
	saltSize  = 24
	checkSize = 16
	headSize  = len(magic) + 4 + saltSize + checkSize
	chunkSize = 64 << 10
	tagSize   = 16
	// Rounds that are written, and those that are read: fewer were never written, more would keep the reader busy for ever.
	rounds, maxRounds = 600_000, 10_000_000
)

// keyFor derives a key of 32 bytes from a passphrase.
type keyFor func(salt []byte, rounds int) ([]byte, error)

func fromPassphrase(passphrase string) keyFor {
	return func(salt []byte, rounds int) ([]byte, error) {
		return pbkdf2.Key(sha256.New, passphrase, salt, rounds, 32)
	}
}

// stream is what both directions share.
type stream struct {
	head   []byte
	aead   cipher.AEAD
	number uint64
}

// begin derives what belongs to a header, whose check is computed and returned.
func begin(head []byte, derive keyFor) (*stream, []byte, error) {
	salt := head[len(magic)+4 : len(magic)+4+saltSize]
	master, err := derive(salt, int(binary.BigEndian.Uint32(head[len(magic):])))
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Key(sha256.New, master, nil, "warren seal: chunks", 32)
	if err != nil {
		return nil, nil, err
	}
	check, err := hkdf.Key(sha256.New, master, nil, "warren seal: check", checkSize)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &stream{head: head, aead: aead}, check, err
}

func (s *stream) nonce(last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[3:11], s.number)
	if last {
		n[11] = 1
	}
	return n
}

// writer seals what is written to it.
type writer struct {
	*stream
	to  io.Writer
	buf []byte
	err error
}

// NewWriter returns a writer that seals into w. Only Close makes it whole; it does not close w.
func NewWriter(w io.Writer, passphrase string) (io.WriteCloser, error) {
	return newWriter(w, rounds, fromPassphrase(passphrase))
}

func newWriter(w io.Writer, rounds uint32, derive keyFor) (io.WriteCloser, error) {
	head := binary.BigEndian.AppendUint32([]byte(magic), rounds)
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails
	head = append(head, salt...)
	s, check, err := begin(append(head, make([]byte, checkSize)...), derive)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	copy(s.head[headSize-checkSize:], check)
	_, err = w.Write(s.head)
	return &writer{stream: s, to: w, buf: make([]byte, 0, chunkSize+tagSize)}, err
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		if len(w.buf) == chunkSize { // more follows, so it is not the last
			w.flush(false)
		}
		k := min(len(p), chunkSize-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		n, p = n+k, p[k:]
	}
	return n, w.err
}

func (w *writer) flush(last bool) {
	if w.err != nil {
		return
	}
	_, w.err = w.to.Write(w.aead.Seal(w.buf[:0], w.nonce(last), w.buf, w.head))
	w.buf, w.number = w.buf[:0], w.number+1
}

// Close implements io.Closer.
func (w *writer) Close() error {
	w.flush(true)
	err := w.err
	if err == nil {
		w.err = errors.New("sealed stream is closed")
	}
	return err
}

// reader opens a sealed stream.
type reader struct {
	*stream
	from *bufio.Reader
	buf  []byte // of the ciphertext, and of what was opened in place
	left []byte
	err  error
}

// NewReader returns a reader of what was sealed in r. It fails with ErrNotSealed or ErrPassphrase at once; reads fail with ErrDamaged
// or ErrCutOff where the stream is not what was written. io.EOF means that the whole of it was read.
func NewReader(r io.Reader, passphrase string) (io.Reader, error) {
	return newReader(r, rounds, fromPassphrase(passphrase))
}

func newReader(r io.Reader, minRounds uint32, derive keyFor) (io.Reader, error) {
	from := bufio.NewReaderSize(r, chunkSize)
	head := make([]byte, headSize)
	n, err := io.ReadFull(from, head)
	switch {
	case n < len(magic) || string(head[:len(magic)]) != magic:
		return nil, errors.Join(ErrNotSealed, realError(err))
	case err != nil:
		return nil, errors.Join(ErrCutOff, realError(err))
	}
	if rounds := binary.BigEndian.Uint32(head[len(magic):]); rounds < minRounds || rounds > maxRounds {
		return nil, fmt.Errorf("%w: %d rounds", ErrDamaged, rounds)
	}
	s, check, err := begin(head, derive)
	if err != nil {
		return nil, fmt.Errorf("open sealed stream: %w", err)
	}
	if !hmac.Equal(check, head[headSize-checkSize:]) {
		return nil, ErrPassphrase
	}
	return &reader{stream: s, from: from, buf: make([]byte, chunkSize+tagSize)}, nil
}

// realError leaves out the ends of a stream.
func realError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil {
		r.next()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// next opens a chunk. What lies at the end must be sealed as the end.
func (r *reader) next() {
	n, err := io.ReadFull(r.from, r.buf)
	if err = realError(err); err != nil {
		r.err = err
		return
	}
	_, err = r.from.Peek(1)
	if last := errors.Is(err, io.EOF); !last {
		if r.err = err; err == nil {
			r.open(n, false, ErrDamaged)
		}
		return
	}
	if n < tagSize {
		r.err = ErrCutOff
		return
	}
	whole := append([]byte(nil), r.buf[:n]...) // opening what is wrong wipes it
	r.open(n, true, ErrDamaged)
	switch {
	case r.err == nil:
		r.err = io.EOF
	case r.opens(whole):
		r.err = ErrCutOff
	}
}

func (r *reader) open(n int, last bool, otherwise error) {
	plain, err := r.aead.Open(r.buf[:0], r.nonce(last), r.buf[:n], r.head)
	if err != nil {
		r.err = otherwise
		return
	}
	r.left, r.number = plain, r.number+1
}

// opens tells whether a chunk is one that others followed when it was written.
func (r *reader) opens(chunk []byte) bool {
	_, err := r.aead.Open(nil, r.nonce(false), chunk, r.head)
	return err == nil
}
