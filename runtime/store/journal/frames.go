package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// The file is a row of frames: length and CRC-32C of a text, four bytes each, little-endian, and the text, which is JSON. The
// first text is the header, each other one says what became of some objects, all of it or nothing.
const (
	format   = 1
	prefix   = 8
	maxFrame = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header says whose journal it is.
type header struct {
	Format  int    `json:"format"`
	Node    string `json:"node"`
	Cluster string `json:"cluster"`
}

// note is what is written of objects at one time.
type note struct {
	At      int64          `json:"at"`   // milliseconds since 1970
	Seen    store.Revision `json:"seen"` // of the managers' store
	Objects []change       `json:"objects"`
}

// change is what became of an object: a patch over its base as it was, and all that is not reported of it.
type change struct {
	Key  string `json:"key"` // Kind/name
	Base patch  `json:"base,omitempty"`
	Mine patch  `json:"mine,omitempty"`
	Gone bool   `json:"gone,omitempty"` // removed here, which is not reported
	Drop bool   `json:"drop,omitempty"` // there is nothing to be known of it any more
}

// record is what is kept of one object.
type record struct {
	Base, Mine patch
	Gone       bool
}

// content is what a journal says.
type content struct {
	header  header
	records map[meta.Key]record
	seen    store.Revision
	at      time.Time // of the last note; zero if there is none
}

// frame is a text with what it is known by.
func frame(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(text) > maxFrame {
		return nil, fmt.Errorf("%d bytes in one frame of a journal: %w", len(text), store.ErrTooLarge)
	}
	out := make([]byte, prefix, prefix+len(text))
	binary.LittleEndian.PutUint32(out, uint32(len(text)))
	binary.LittleEndian.PutUint32(out[4:], crc32.Checksum(text, castagnoli))
	return append(out, text...), nil
}

var (
	errTorn    = errors.New("the last frame is not whole")
	errDamaged = errors.New("a frame has other bytes than were written")
)

// next is the first text and what comes after it.
func next(data []byte) (text, rest []byte, err error) {
	if len(data) < prefix {
		return nil, nil, errTorn
	}
	n, sum := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
	if data = data[prefix:]; n > maxFrame || n == 0 {
		return nil, nil, errDamaged
	} else if int(n) > len(data) {
		return nil, nil, errTorn
	}
	if crc32.Checksum(data[:n], castagnoli) != sum {
		return nil, nil, errDamaged
	}
	return data[:n], data[n:], nil
}

// read returns what the good part of a journal says, how long that is, and what is wrong with the rest.
func read(data []byte) (c content, good int, damage error) {
	c.records = map[meta.Key]record{}
	for rest := data; len(rest) > 0; {
		text, after, err := next(rest)
		if err == nil && good == 0 {
			err = decode(text, &c.header)
		} else if err == nil {
			err = c.take(text)
		}
		if err != nil {
			return c, good, fmt.Errorf("at byte %d of %d: %w", good, len(data), err)
		}
		rest, good = after, len(data)-len(after)
	}
	return c, good, nil
}

func (c *content) take(text []byte) error {
	var n note
	if err := decode(text, &n); err != nil {
		return err
	}
	keys := make([]meta.Key, len(n.Objects))
	for i, x := range n.Objects {
		kind, name, ok := strings.Cut(x.Key, "/")
		if keys[i] = (meta.Key{Kind: kind, Name: name}); !ok {
			return fmt.Errorf("%q is no object", x.Key)
		}
	}
	for i, x := range n.Objects {
		if x.Drop {
			delete(c.records, keys[i])
			continue
		}
		r := c.records[keys[i]]
		if x.Base != nil {
			r.Base = merge(r.Base, x.Base)
		}
		r.Mine, r.Gone = x.Mine, x.Gone
		c.records[keys[i]] = r
	}
	c.seen, c.at = max(c.seen, n.Seen), time.UnixMilli(n.At)
	return nil
}

// whole is the shortest journal that says the same.
func (c *content) whole() ([]byte, error) {
	out, err := frame(c.header)
	if err != nil || c.at.IsZero() {
		return out, err
	}
	n := note{At: c.at.UnixMilli(), Seen: c.seen}
	for key := range maps.Keys(c.records) {
		r := c.records[key]
		n.Objects = append(n.Objects, change{Key: key.String(), Base: r.Base, Mine: r.Mine, Gone: r.Gone})
	}
	sortChanges(n.Objects)
	all, err := frame(n)
	return append(out, all...), err
}
