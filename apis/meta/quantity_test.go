package meta

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	for in, want := range map[string]CPU{"0": 0, "1": 1000, "500m": 500, "0.5": 500, "1.25": 1250, "0.001": 1, "64": 64000} {
		if got, err := ParseCPU(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "m", "-1", "+1", "1.", ".5", "1e3", "1,5", "0.0001", "1 ", "0x1", "9999999999999999999", "1.5m", "five"} {
		if got, err := ParseCPU(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]Bytes{"0": 0, "1": 1, "1k": 1000, "1Ki": 1024, "64Mi": 64 << 20, "1.5Gi": 3 << 29, "0.5Ki": 512,
		"2T": 2e12, "1.000001M": 1000001, "0.25Mi": 256 << 10} {
		if got, err := ParseBytes(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "Mi", "-1Mi", "1MiB", "1m", "1.5", "0.3Ki", "9999999Ti", "1 Gi", "1e6", "Ki1"} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"0": 0, "0s": 0, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond} {
		if got, err := ParseDuration(in); err != nil || time.Duration(got) != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "5", "-1s", "1d", "soon", "300000000h"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q was read as %s", in, got)
		}
	}
}

// Whatever is printed is read back as the same amount.
func TestQuantitiesRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		n := rnd.Int64() >> rnd.IntN(63)
		if n = n / 1000 * 1000; rnd.IntN(2) == 0 {
			n = n >> 30 << 30
		}
		roundTrip(t, CPU(n))
		roundTrip(t, Bytes(n))
		roundTrip(t, Duration(n))
	}
	roundTrip(t, Bytes(math.MaxInt64))
	roundTrip(t, Duration(math.MaxInt64))
}

func roundTrip[T comparable](t *testing.T, v T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back T
	if err := json.Unmarshal(data, &back); err != nil || back != v {
		t.Fatalf("%v was written as %s and read as %v: %v", v, data, back, err)
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"1.5Gi", "500m", "1h30m", "0.000000001", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseCPU(s); err == nil {
			roundTrip(t, v)
		}
		if v, err := ParseBytes(s); err == nil {
			roundTrip(t, v)
		}
		if v, err := ParseDuration(s); err == nil {
			roundTrip(t, v)
		}
	})
}
