package tasklog

import (
	"bytes"
	"time"
)

// Line is one line that a task wrote.
type Line struct {
	Time   time.Time // of its last part
	Stream string
	Text   string
}

// maxLine bounds what is joined: a process that never ends its line is read in pieces of this size.
const maxLine = 1 << 20

// rec is one record of a file.
type rec struct {
	time   time.Time
	stream string
	whole  bool
	text   []byte
}

// parse reads "time stream F|P text\n". A record that a power cut damaged is not ok.
func parse(b []byte) (rec, bool) {
	at, b, ok1 := bytes.Cut(b, []byte{' '})
	stream, b, ok2 := bytes.Cut(b, []byte{' '})
	tag, b, ok3 := bytes.Cut(b, []byte{' '})
	if !ok1 || !ok2 || !ok3 || len(tag) != 1 || tag[0] != 'F' && tag[0] != 'P' {
		return rec{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(at))
	name := string(stream)
	if err != nil || name != "stdout" && name != "stderr" {
		return rec{}, false
	}
	return rec{t, name, tag[0] == 'F', bytes.TrimSuffix(b, []byte{'\n'})}, true
}

// take adds one record and emits the line that it ends.
func (r *reader) take(text []byte) error {
	p, ok := parse(text)
	if !ok {
		return nil
	}
	if r.parts == nil {
		r.parts = map[string][]byte{}
	}
	begun := r.parts[p.stream]
	if !p.whole && len(begun) < maxLine {
		r.parts[p.stream] = append(begun, p.text...)
		return nil
	}
	line := Line{Time: p.time, Stream: p.stream, Text: string(append(begun, p.text...))}
	r.parts[p.stream] = begun[:0]
	if !r.only.has(p.time) {
		return nil
	}
	if r.skip > 0 {
		r.skip--
		return nil
	}
	return r.emit(line)
}
