// Package backup is what is in a backup and how it is written: all resources at one revision with their uids and revisions, the
// cluster's keys, and what says where and when it was taken. The text is one JSON value a line: the header, the keys, the resources,
// and an end that counts them. On disk it is sealed with a passphrase (runtime/seal) and appears as a whole or not at all.
package backup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Format of the text that is written. Others are refused.
const Format = 1

// Bounds of what is read.
const (
	maxLine  = 8 << 20
	maxFiles = 64
	maxFile  = 64 << 10
)

// Header says what a backup is of.
type Header struct {
	Format   int            `json:"format"`
	Warren   string         `json:"warren"` // version
	Created  time.Time      `json:"created"`
	Cluster  string         `json:"cluster"` // id
	Node     string         `json:"node"`    // that wrote it
	Revision store.Revision `json:"revision"`
}

// File is one of the keys.
type File struct {
	Name string `json:"file"`
	Data []byte `json:"data"`
}

// Backup is the whole of it.
type Backup struct {
	Header
	Files   []File
	Objects []store.Packed
}

// line is any line but the first.
type line struct {
	Name   string          `json:"file,omitempty"`
	Data   []byte          `json:"data,omitempty"`
	Object json.RawMessage `json:"object,omitempty"`
	End    *end            `json:"end,omitempty"`
}

type end struct {
	Files   int `json:"files"`
	Objects int `json:"objects"`
}

// Write writes the text.
func (b *Backup) Write(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	out := json.NewEncoder(buffered)
	out.SetEscapeHTML(false)
	err := out.Encode(b.Header)
	for _, f := range b.Files {
		err = errors.Join(err, out.Encode(line{Name: f.Name, Data: f.Data}))
	}
	for _, o := range b.Objects {
		err = errors.Join(err, out.Encode(line{Object: o.JSON}))
	}
	err = errors.Join(err, out.Encode(line{End: &end{len(b.Files), len(b.Objects)}}), buffered.Flush())
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

// Read reads the text, all of it: one without its end is an error.
func Read(r io.Reader) (*Backup, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	b := &Backup{}
	if !lines.Scan() {
		return nil, fmt.Errorf("read backup: %w", errors.Join(lines.Err(), errEmpty))
	}
	if err := json.Unmarshal(lines.Bytes(), &b.Header); err != nil {
		return nil, fmt.Errorf("read backup: header: %w", err)
	}
	if b.Format != Format {
		return nil, fmt.Errorf("read backup: it has format %d, this warren reads %d; use warren %s", b.Format, Format, b.Warren)
	}
	ended := false
	for lines.Scan() {
		if ended {
			return nil, errors.New("read backup: something follows its end")
		}
		var err error
		if ended, err = b.take(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("read backup: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	if !ended {
		return nil, errors.New("read backup: its end is missing")
	}
	return b, nil
}

var errEmpty = errors.New("it is empty")

// take reads one line; ended is true for the last one.
func (b *Backup) take(text []byte) (ended bool, err error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return false, err
	}
	switch {
	case l.End != nil:
		if *l.End != (end{len(b.Files), len(b.Objects)}) {
			return false, fmt.Errorf("it has %d keys and %d resources, and says that it had %d and %d", len(b.Files), len(b.Objects), l.End.Files, l.End.Objects)
		}
		return true, nil
	case l.Object != nil:
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(l.Object, &head); err != nil {
			return false, err
		}
		b.Objects = append(b.Objects, store.Packed{Key: meta.Key{Kind: head.Kind, Name: head.Metadata.Name}, JSON: bytes.Clone(l.Object)})
		return false, nil
	case !IsKey(l.Name) || len(l.Data) > maxFile || len(b.Files) == maxFiles:
		return false, fmt.Errorf("%.80q with %d bytes is no key of a cluster", l.Name, len(l.Data))
	}
	b.Files = append(b.Files, File{l.Name, l.Data})
	return false, nil
}

var keyName = regexp.MustCompile(`^((ca|admin)\.(crt|key)|ca\.sealed|unlock\.key)$`)

// IsKey tells whether a file in the directory of keys is one that a backup holds: the cluster's own, not those of a node.
func IsKey(name string) bool { return keyName.MatchString(name) }

// Decode reads every resource strictly and sees that they make a cluster.
func (b *Backup) Decode(kinds meta.Kinds) ([]meta.Object, error) {
	var (
		out  []meta.Object
		all  error
		seen = map[meta.Key]bool{}
	)
	for _, p := range b.Objects {
		o, err := decode(kinds, p)
		if err == nil {
			err = b.check(o, seen)
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", p.Key, err))
			continue
		}
		out = append(out, o)
	}
	if all == nil && !seen[meta.Key{Kind: "Cluster", Name: v1.ClusterName}] {
		all = errors.New("it has no Cluster")
	}
	if all != nil {
		return nil, fmt.Errorf("read backup: %w", all)
	}
	return out, nil
}

// decode refuses fields that this program does not know: it would lose them.
func decode(kinds meta.Kinds, p store.Packed) (meta.Object, error) {
	k, ok := kinds.ByName(p.Key.Kind)
	if !ok {
		return nil, errors.New("its kind is unknown to this warren")
	}
	o, in := k.New(), json.NewDecoder(bytes.NewReader(p.JSON))
	in.DisallowUnknownFields()
	if err := in.Decode(o); err != nil {
		return nil, err
	}
	if o.Key() != p.Key || p.Key.Name == "" {
		return nil, errors.New("it has no name")
	}
	return o, nil
}

func (b *Backup) check(o meta.Object, seen map[meta.Key]bool) error {
	m := o.Meta()
	cluster, is := o.(*v1.Cluster)
	switch {
	case seen[o.Key()]:
		return errors.New("is there twice")
	case m.UID <= 0 || m.Revision < m.UID || m.Revision > b.Revision:
		return fmt.Errorf("uid %d and revision %d are none of a backup at revision %d", m.UID, m.Revision, b.Revision)
	case is && cluster.Spec.ID != b.Cluster:
		return fmt.Errorf("is of cluster %s, the backup of %s", cluster.Spec.ID, b.Cluster)
	}
	seen[o.Key()] = true
	return nil
}
