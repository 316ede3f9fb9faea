package seal

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestRing(t *testing.T) {
	unlock := NewUnlockKey()
	var r, other Ring
	if _, err := r.Seal(nil, nil); !errors.Is(err, ErrLocked) || !r.Locked() {
		t.Errorf("a ring without a key seals: %v", err)
	}
	wrapped, err := r.Make(unlock)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := r.Seal([]byte("s3cr3t"), []byte("of web"))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := r.Seal([]byte("s3cr3t"), []byte("of web")); again == sealed {
		t.Error("the same value is sealed the same way twice")
	}
	if _, err := other.Open(sealed, []byte("of web")); !errors.Is(err, ErrLocked) {
		t.Errorf("a locked ring: %v", err)
	}
	if err := other.Unlock(wrapped, NewUnlockKey()); !errors.Is(err, ErrUnlockKey) || !other.Locked() {
		t.Errorf("another unlock key: %v", err)
	}
	if err := other.Unlock(wrapped, unlock); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Open(sealed, []byte("of web")); err != nil || string(got) != "s3cr3t" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := other.Open(sealed, []byte("of db")); !errors.Is(err, ErrDamaged) {
		t.Errorf("of something else: %v", err)
	}
	if _, err := (&Ring{}).Make(unlock); err != nil {
		t.Fatal(err)
	}
	var third Ring
	_, _ = third.Make(unlock)
	if _, err := third.Open(sealed, []byte("of web")); !errors.Is(err, ErrLocked) {
		t.Errorf("with another data key: %v", err)
	}
	everyByte(t, sealed, func(text string) error { _, err := other.Open(text, []byte("of web")); return err })
}

// everyByte demands that a change of any byte is found.
func everyByte(t *testing.T, text string, open func(string) error) {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] ^= 1
		if open(base64.StdEncoding.EncodeToString(data)) == nil {
			t.Errorf("byte %d may be changed", i)
		}
		data[i] ^= 1
		if open(base64.StdEncoding.EncodeToString(data[:i])) == nil {
			t.Errorf("it may be cut off at %d", i)
		}
	}
}

// TestFewerRoundsAreRefused: whoever writes into the store cannot make the unlock key cheaper to guess.
func TestFewerRoundsAreRefused(t *testing.T) {
	var r Ring
	wrapped, err := r.Make("x")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := base64.StdEncoding.DecodeString(wrapped)
	data[len(ringMark)+1] = 0
	if err := r.Unlock(base64.StdEncoding.EncodeToString(data), "x"); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestUnlockKeys(t *testing.T) {
	key := NewUnlockKey()
	if got, err := ParseUnlockKey(" " + strings.ToLower(key[:20]) + " " + key[20:] + "\n"); err != nil || got != key || len(key) != 52 {
		t.Errorf("%s: %s, %v", key, got, err)
	}
	for _, bad := range []string{"", "secret", key[1:], key + "A", strings.Repeat("1", 52)} {
		if _, err := ParseUnlockKey(bad); err == nil {
			t.Errorf("%q is an unlock key", bad)
		}
	}
}

func FuzzRing(f *testing.F) {
	var r Ring
	if _, err := r.Make("x"); err != nil {
		f.Fatal(err)
	}
	good, _ := r.Seal([]byte("s3cr3t"), nil)
	f.Add(good)
	f.Add("")
	f.Add("V1Mx")
	f.Fuzz(func(t *testing.T, text string) {
		if plain, err := r.Open(text, nil); err == nil && string(plain) != "s3cr3t" {
			t.Errorf("%q opens as %q", text, plain)
		}
	})
}
