package seal

import "testing"

// BenchmarkUnlock is what a manager's start costs more: 600,000 rounds.
func BenchmarkUnlock(b *testing.B) {
	var r Ring
	wrapped, err := r.Make("x")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := r.Unlock(wrapped, "x"); err != nil {
			b.Fatal(err)
		}
	}
}
