package seal

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// quick stands for a derivation that takes long.
func quick(passphrase string) keyFor {
	return func(salt []byte, _ int) ([]byte, error) {
		return fromPassphrase(passphrase)(salt, 1)
	}
}

func sealed(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newWriter(&out, rounds, quick("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for rest := text; len(rest) > 0; { // in pieces of any size
		n := min(len(rest), 1+rand.IntN(3*chunkSize))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func opened(data []byte, passphrase string) ([]byte, error) {
	r, err := newReader(bytes.NewReader(data), rounds, quick(passphrase))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func noise(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(rand.Uint32())
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 5*chunkSize + 17} {
		text := noise(n)
		data := sealed(t, text)
		if got, err := opened(data, "secret"); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
		if _, err := opened(data, "Secret"); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%d bytes with a wrong passphrase: %v", n, err)
		}
	}
}

// The real rounds, once.
func TestPassphrases(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, "correct horse")
	if err == nil {
		_, err = io.WriteString(w, "battery")
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&out, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "battery" {
		t.Errorf("%q %v", got, err)
	}
}

func TestSameTextIsSealedDifferently(t *testing.T) {
	a, b := sealed(t, []byte("text")), sealed(t, []byte("text"))
	if bytes.Equal(a[headSize:], b[headSize:]) || bytes.Contains(a, []byte("text")) {
		t.Error("the text shows")
	}
}

func TestEveryChangeIsNoticed(t *testing.T) {
	text := noise(3*chunkSize + 100)
	data := sealed(t, text)
	for range 300 {
		bad := bytes.Clone(data)
		at := rand.IntN(len(bad))
		if rand.IntN(3) == 0 {
			at = rand.IntN(headSize)
		}
		bad[at] ^= 1 << rand.IntN(8)
		if got, err := opened(bad, "secret"); err == nil {
			t.Fatalf("a flipped bit in byte %d went unnoticed", at)
		} else if !bytes.HasPrefix(text, got) {
			t.Fatalf("a flipped bit in byte %d: what was given out was never written", at)
		}
	}
	for _, n := range []int{0, 1, len(magic), headSize - 1, headSize, headSize + 5, headSize + chunkSize, headSize + chunkSize + tagSize, len(data) - 1} {
		if _, err := opened(data[:n], "secret"); err == nil {
			t.Errorf("cut off after %d bytes, and nobody noticed", n)
		}
	}
	if _, err := opened(data[:headSize+2*(chunkSize+tagSize)], "secret"); !errors.Is(err, ErrCutOff) {
		t.Errorf("cut off between two chunks: %v", err)
	}
	if _, err := opened(append(bytes.Clone(data), 0), "secret"); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte more: %v", err)
	}
	if _, err := opened([]byte("PK\x03\x04 something else that is long enough to be a header of ours, too"), "secret"); !errors.Is(err, ErrNotSealed) {
		t.Errorf("another file: %v", err)
	}
}

func TestOrderIsAuthenticated(t *testing.T) {
	data := sealed(t, noise(4*chunkSize))
	chunk := func(b []byte, i int) []byte {
		return b[headSize+i*(chunkSize+tagSize) : headSize+(i+1)*(chunkSize+tagSize)]
	}
	bad := bytes.Clone(data)
	copy(chunk(bad, 0), chunk(data, 1))
	copy(chunk(bad, 1), chunk(data, 0))
	if _, err := opened(bad, "secret"); !errors.Is(err, ErrDamaged) {
		t.Errorf("two chunks are exchanged: %v", err)
	}
	other := sealed(t, noise(4*chunkSize))
	bad = bytes.Clone(data)
	copy(chunk(bad, 1), chunk(other, 1))
	if _, err := opened(bad, "secret"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a chunk of another file: %v", err)
	}
}

func TestPassphraseIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("from a file\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{Variable: "environ"}[name] }
	if p, err := Passphrase(file, env, true); p != "from a file" || err != nil {
		t.Errorf("%q %v", p, err)
	}
	if p, err := Passphrase("", env, false); p != "environ" || err != nil {
		t.Errorf("%q %v", p, err)
	}
	if _, err := Passphrase("", env, true); err == nil {
		t.Error("a new passphrase of 7 characters is taken")
	}
	if _, err := Passphrase(file+"x", env, true); err == nil {
		t.Error("a file that is not there")
	}
}

// FuzzRead: whatever is read, only what was written comes out, or an error.
func FuzzRead(f *testing.F) {
	text := []byte("some text that was sealed")
	whole := sealed(f, text)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := opened(data, "secret")
		if err == nil && !bytes.Equal(got, text) {
			t.Fatalf("opened what was never sealed: %q", got)
		}
	})
}
