package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
)

var owner = header{Format: format, Node: "n1", Cluster: "c1"}

// fragile is a disk whose power goes while it does its nth thing.
type fragile struct {
	data  []byte
	there bool
	after int                         // things until then
	torn  func(written []byte) []byte // what is left of what was being written
	dead  bool
}

var errPower = errors.New("power is gone")

// Load implements disk.
func (f *fragile) Load() ([]byte, error) {
	if !f.there {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(f.data), nil
}

// last tells whether this is what the power goes at.
func (f *fragile) last() bool {
	if f.dead {
		return true
	}
	f.dead = f.after == 0
	f.after--
	return f.dead
}

// WriteAt implements disk.
func (f *fragile) WriteAt(data []byte, at int64) error {
	was := f.dead
	if f.last() {
		if !was {
			f.data = append(f.data[:at:at], f.torn(data)...)
		}
		return errPower
	}
	f.data = append(f.data[:at:at], data...)
	return nil
}

// Replace implements disk.
func (f *fragile) Replace(data []byte) error {
	was := f.dead
	if f.last() {
		if !was && len(f.torn(data)) == len(data) { // the new name was on the disk already
			f.data, f.there = bytes.Clone(data), true
		}
		return errPower
	}
	f.data, f.there = bytes.Clone(data), true
	return nil
}

// TestPowerGoesAtAnyWrite: whatever step the power goes at and whatever of the write is then on the disk, what is read is
// what was written before or with it, and what is written later is read, too.
func TestPowerGoesAtAnyWrite(t *testing.T) {
	tears := map[string]func([]byte) []byte{
		"nothing":   func([]byte) []byte { return nil },
		"half":      func(b []byte) []byte { return b[:len(b)/2] },
		"prefix":    func(b []byte) []byte { return b[:prefix] },
		"but one":   func(b []byte) []byte { return b[:len(b)-1] },
		"zeros":     func(b []byte) []byte { return make([]byte, len(b)) },
		"all":       func(b []byte) []byte { return b },
		"beginning": func(b []byte) []byte { return append(bytes.Clone(b[:len(b)/2]), make([]byte, len(b)-len(b)/2)...) },
	}
	const steps = 40
	for how, torn := range tears {
		for at := range steps {
			f := &fragile{after: at, torn: torn}
			before, during := life(f, steps)
			f.dead, f.after = false, 1000
			again := openFile(f, owner)
			if !same(again.records, before) && !same(again.records, during) {
				t.Fatalf("%s, step %d: neither what was there before nor what was written", how, at)
			}
			now := states(rand.New(rand.NewPCG(9, 9)), again.records)
			if _, err := again.write(pointers(now, again.records), 1, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			if third := openFile(f, owner); third.damage != nil || !same(third.records, now) {
				t.Fatalf("%s, step %d: what is written after that is not read: %v", how, at, third.damage)
			}
		}
	}
}

// life writes until the power goes; it returns what was written for sure and what was being written.
func life(d *fragile, steps int) (before, during map[meta.Key]record) {
	f := openFile(d, owner)
	f.least = -slack/4 + 300 // so that it is soon written anew
	rnd := rand.New(rand.NewPCG(1, 2))
	before = map[meta.Key]record{}
	for range steps {
		during = states(rnd, before)
		if _, err := f.write(pointers(during, before), 1, time.Unix(1, 0)); err != nil {
			return before, during
		}
		before = during
		f.least = min(f.least, -slack/4+600)
	}
	return before, before
}

// states are records in which something is other than before.
func states(rnd *rand.Rand, before map[meta.Key]record) map[meta.Key]record {
	out := map[meta.Key]record{}
	maps.Copy(out, before)
	key := meta.Key{Kind: "Task", Name: fmt.Sprint("t", rnd.IntN(5))}
	if _, there := out[key]; there && rnd.IntN(4) == 0 {
		delete(out, key)
		return out
	}
	r := record{Base: patch{"metadata": map[string]any{"name": key.Name}, "spec": map[string]any{"image": fmt.Sprint(rnd.IntN(9))}}}
	if rnd.IntN(2) == 0 {
		r.Mine = patch{"status": map[string]any{"reason": nil, "message": fmt.Sprint(rnd.IntN(99))}}
	}
	r.Gone = rnd.IntN(5) == 0
	out[key] = r
	return out
}

func pointers(now, before map[meta.Key]record) map[meta.Key]*record {
	out := map[meta.Key]*record{}
	for key := range before {
		out[key] = nil
	}
	for key, r := range now {
		out[key] = &r
	}
	return out
}

func same(a, b map[meta.Key]record) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

// TestEveryPrefixAndEveryByte: a file that was cut off anywhere is one that was written earlier, and so is what can be read of
// one in which a byte is wrong.
func TestEveryPrefixAndEveryByte(t *testing.T) {
	d := &fragile{after: 1000}
	f := openFile(d, owner)
	rnd := rand.New(rand.NewPCG(3, 4))
	earlier := []map[meta.Key]record{{}}
	for range 12 {
		now := states(rnd, earlier[len(earlier)-1])
		if _, err := f.write(pointers(now, earlier[len(earlier)-1]), 1, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		earlier = append(earlier, now)
	}
	known := func(what string, data []byte) {
		c, good, _ := read(data)
		for _, e := range earlier {
			if same(c.records, e) {
				return
			}
		}
		t.Fatalf("%s: what is read of %d bytes was never written", what, good)
	}
	for i := range d.data {
		known(fmt.Sprint("cut at ", i), d.data[:i])
		for _, bit := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(d.data)
			bad[i] ^= bit
			known(fmt.Sprint("wrong at ", i), bad)
		}
	}
}

// TestRealDisk: the same file on a real file system: cut off, damaged, of another node, not writable, and never large.
func TestRealDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "journal")
	path := filepath.Join(dir, Name)
	f := openFile(onDisk(dir), owner)
	if f.damage != nil {
		t.Fatal(f.damage)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	now := map[meta.Key]record{}
	largest := int64(0)
	for range 3000 {
		next := states(rnd, now)
		if _, err := f.write(pointers(next, now), 1, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		now, largest = next, max(largest, f.size)
	}
	if info, _ := os.Stat(path); info.Size() != f.size || largest > slack+16<<10 {
		t.Errorf("%d bytes on disk, %d known, at most %d", info.Size(), f.size, largest)
	}
	if again := openFile(onDisk(dir), owner); again.damage != nil || !same(again.records, now) {
		t.Fatal("not what was written: ", again.damage)
	}
	data, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(data, "rubbish"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := openFile(onDisk(dir), owner); again.damage == nil || !same(again.records, now) {
		t.Error("rubbish at the end: ", again.damage)
	}
	if again := openFile(onDisk(dir), owner); again.damage != nil {
		t.Error("damage is mended when it is found: ", again.damage)
	}
	if other := openFile(onDisk(dir), header{Format: format, Node: "n2", Cluster: "c1"}); len(other.records) != 0 {
		t.Error("the journal of another node is used")
	}
}

// TestWriteFails: what could not be written is written with the next.
func TestWriteFails(t *testing.T) {
	d := &fragile{after: 2, torn: func(b []byte) []byte { return b[:3] }}
	f := openFile(d, owner)
	a, b := map[meta.Key]record{}, map[meta.Key]record{}
	rnd := rand.New(rand.NewPCG(7, 8))
	for err := error(nil); err == nil; {
		a, b = b, states(rnd, b)
		_, err = f.write(pointers(b, a), 1, time.Unix(1, 0))
	}
	d.dead, d.after = false, 10
	if _, err := f.write(nil, 1, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if again := openFile(d, owner); again.damage != nil || !same(again.records, b) {
		t.Error("lost what could not be written at first: ", again.damage)
	}
}

func FuzzRead(f *testing.F) {
	d := &fragile{after: 1000}
	j := openFile(d, owner)
	now := states(rand.New(rand.NewPCG(1, 1)), nil)
	if _, err := j.write(pointers(now, nil), 7, time.Unix(1, 0)); err != nil {
		f.Fatal(err)
	}
	f.Add(d.data)
	for _, text := range []string{`{"objects":[{"key":"Task/a","base":{"a":1},"mine":{"b":null}},{"key":"Task/a","drop":true}]}`, `[]`, `{"objects":[{"key":"x"}]}`, `null`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check(t, data)
		if !json.Valid(data) {
			return
		}
		whole, _ := frame(owner)
		for range 2 {
			more, err := frame(rawText(data))
			if err != nil {
				t.Fatal(err)
			}
			whole = append(whole, more...)
		}
		check(t, whole)
	})
}

// check reads bytes of any kind.
func check(t *testing.T, data []byte) {
	c, good, damage := read(data)
	if good > len(data) || (damage == nil) != (good == len(data)) {
		t.Fatalf("%d of %d bytes are good, damage: %v", good, len(data), damage)
	}
	again, all, err := read(data[:good])
	if err != nil || all != good || !same(c.records, again.records) {
		t.Fatal("the good part says something else by itself: ", err)
	}
	short, err := c.whole()
	if err != nil {
		t.Fatal(err)
	}
	if back, _, err := read(short); err != nil || !c.at.IsZero() && len(back.records) != len(c.records) {
		t.Fatal("written anew it says something else: ", err)
	}
}

type rawText string

func (r rawText) MarshalJSON() ([]byte, error) { return []byte(r), nil }
