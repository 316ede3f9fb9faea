package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
)

// stream is an answer over HTTP that goes on. Nothing is sent before the first line, so that an error before it still gets
// its status; an error after it becomes the last line.
type stream struct {
	server *Server
	w      http.ResponseWriter
	kind   string // content type
	asLine func(error) []byte
	queue  int
	began  bool
}

// run sends the lines that produce puts. net/http wants nothing written after a handler has returned, so it waits for that.
func (t *stream) run(ctx context.Context, produce func(put *outbox[[]byte]) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := http.NewResponseController(t.w)
	box := newOutbox(ctx, t.queue, func(next []byte, more <-chan []byte) error { return t.send(out, next, more) })
	err := box.finish(ctx, produce(box))
	t.server.tellSlow(err, "HTTP")
	cancel()
	_ = out.SetWriteDeadline(time.Now().Add(lastWords)) // a sender that is stuck is so no longer
	<-box.ended
	if err != nil && t.began {
		_, _ = t.w.Write(t.asLine(err))
		return nil
	}
	return err
}

func (t *stream) send(out *http.ResponseController, next []byte, more <-chan []byte) error {
	if !t.began {
		t.began = true
		t.w.Header().Set("Content-Type", t.kind)
	}
	for ok := true; ok; {
		if _, err := t.w.Write(next); err != nil {
			return err
		}
		select {
		case next, ok = <-more:
		default:
			ok = false
		}
	}
	return out.Flush()
}

// httpBatch is one line of a watch over HTTP: a commit, or the error that ends it.
type httpBatch struct {
	Revision store.Revision `json:"revision,omitempty"`
	Changes  []httpChange   `json:"changes,omitempty"`
	Error    string         `json:"error,omitempty"`
}

type httpChange struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Object any    `json:"object"` // a meta.Object or its JSON; null: gone
}

// httpWatch writes one JSON line for each commit. The first line is there at once: with after it is a bare revision,
// without it has everything there is.
func (s *Server) httpWatch(w http.ResponseWriter, r *http.Request, f filter) error {
	after, err := number(r.URL.Query().Get("after"), "after", -1)
	if err != nil {
		return err
	}
	first := httpBatch{Revision: after}
	if after < 0 {
		all, rev, err := s.list(r.Context(), f)
		if err != nil {
			return err
		}
		after, first = rev, whole(all, rev)
	}
	ctx, done := s.open(r.Context())
	defer done()
	t := &stream{server: s, w: w, kind: "application/x-ndjson", queue: watchQueue, asLine: func(err error) []byte { return jsonLine(httpBatch{Error: err.Error()}) }}
	return t.run(r.Context(), func(box *outbox[[]byte]) error {
		if err := box.put(ctx, jsonLine(first), s.patience); err != nil {
			return err
		}
		return s.follow(ctx, f.changes(), after, func(b store.Batch) error {
			return box.put(ctx, jsonLine(lineOf(b)), s.patience)
		})
	})
}

func whole(all []store.Packed, rev store.Revision) httpBatch {
	b := httpBatch{Revision: rev}
	for _, o := range all {
		b.Changes = append(b.Changes, httpChange{o.Key.Kind, o.Key.Name, json.RawMessage(o.JSON)})
	}
	return b
}

func lineOf(b store.Batch) httpBatch {
	out := httpBatch{Revision: b.Revision}
	for _, c := range b.Changes {
		out.Changes = append(out.Changes, httpChange{c.Key.Kind, c.Key.Name, c.Object})
	}
	return out
}

func jsonLine(b httpBatch) []byte {
	data, err := json.Marshal(b)
	if err != nil {
		data, _ = json.Marshal(httpBatch{Error: err.Error()})
	}
	return append(data, '\n')
}

// streamLogs writes the lines of a task as plain text.
func (s *Server) streamLogs(w http.ResponseWriter, r *http.Request, o host.LogOptions) error {
	ctx, done := s.open(r.Context())
	defer done()
	t := &stream{server: s, w: w, kind: "text/plain; charset=utf-8", queue: logQueue, asLine: func(err error) []byte { return []byte("error: " + err.Error() + "\n") }}
	return t.run(r.Context(), func(box *outbox[[]byte]) error {
		return s.readLogs(ctx, r.PathValue("task"), o, func(l host.LogLine) error {
			if l.Stream == host.Notice {
				l.Text = "warren: " + l.Text
			}
			return box.put(ctx, append([]byte(l.Text), '\n'), 0)
		})
	})
}
