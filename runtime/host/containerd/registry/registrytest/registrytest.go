// Package registrytest makes a registry for tests out of another one: it counts what is fetched, by digest, and can be slow,
// cut connections, hold answers back and lose things.
package registrytest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Get is one request for content.
type Get struct {
	Digest, Range string
	Sent          int64 // bytes of content
}

// Registry counts what it serves. It starts without rules.
type Registry struct {
	inner http.Handler

	mu    sync.Mutex
	gets  []*Get
	now   int // blobs that are being sent
	most  int
	rules Rules
}

// Rules are how a Registry behaves, by digest.
type Rules struct {
	Hold map[string]int64 // after so many bytes of a blob nothing more comes
	Cut  map[string]int64 // after so many bytes of a blob the connection is cut
	Lose map[string]int64 // the same, and from then on it is not there
	// Slow is how long each piece of 64 KiB of a blob takes.
	Slow time.Duration
}

// New counts what inner serves. inner need not know ranges.
func New(inner http.Handler) *Registry { return &Registry{inner: inner} }

// Set changes how the registry behaves from the next request on.
func (r *Registry) Set(rules Rules) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = rules
}

// Gets returns the requests for a digest so far, in their order; "" for all.
func (r *Registry) Gets(digest string) []Get {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Get
	for _, g := range r.gets {
		if digest == "" || g.Digest == digest {
			out = append(out, *g)
		}
	}
	return out
}

// Sent is how many bytes of a digest went out; "" for all.
func (r *Registry) Sent(digest string) int64 {
	sum := int64(0)
	for _, g := range r.Gets(digest) {
		sum += g.Sent
	}
	return sum
}

// Most is how many blobs were sent at the same time.
func (r *Registry) Most() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	what, digest, ok := content(q)
	if !ok {
		r.inner.ServeHTTP(w, q)
		return
	}
	plain := q.Clone(q.Context())
	plain.Header.Del("Range")
	whole := httptest.NewRecorder()
	r.inner.ServeHTTP(whole, plain)
	r.mu.Lock()
	rules := r.rules
	r.mu.Unlock()
	cut, lost := rules.Lose[digest]
	if lost {
		rules.Cut = map[string]int64{digest: cut}
	}
	if whole.Code != http.StatusOK || lost && len(r.Gets(digest)) > 0 {
		http.Error(w, `{"errors":[{"code":"BLOB_UNKNOWN"}]}`, http.StatusNotFound)
		return
	}
	for _, h := range []string{"Content-Type", "Docker-Content-Digest"} {
		w.Header().Set(h, whole.Header().Get(h))
	}
	out := r.begin(w, q, digest, what == "blobs", rules)
	defer out.end()
	http.ServeContent(out, q, "", time.Time{}, bytes.NewReader(whole.Body.Bytes()))
}

// content tells what a request for content by digest asks for.
func content(q *http.Request) (what, digest string, ok bool) {
	parts := strings.Split(q.URL.Path, "/")
	if len(parts) < 3 || q.Method != http.MethodGet {
		return "", "", false
	}
	what, digest = parts[len(parts)-2], parts[len(parts)-1]
	return what, digest, (what == "blobs" || what == "manifests") && strings.HasPrefix(digest, "sha256:")
}

func (r *Registry) begin(w http.ResponseWriter, q *http.Request, digest string, blob bool, rules Rules) *sender {
	s := &sender{ResponseWriter: w, r: r, q: q, get: &Get{Digest: digest, Range: q.Header.Get("Range")}, blob: blob, rules: rules}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gets = append(r.gets, s.get)
	if blob {
		r.now++
		r.most = max(r.most, r.now)
	}
	return s
}

// sender counts an answer and does to it what the rules say.
type sender struct {
	http.ResponseWriter
	r     *Registry
	q     *http.Request
	get   *Get
	blob  bool
	rules Rules
}

func (s *sender) end() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.blob {
		s.r.now--
	}
}

// Write implements io.Writer.
func (s *sender) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := s.piece(p[done:min(len(p), done+64<<10)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (s *sender) piece(p []byte) (int, error) {
	hold, held := s.rules.Hold[s.get.Digest]
	cut, cuts := s.rules.Cut[s.get.Digest]
	if held {
		p = p[:min(int64(len(p)), hold-s.get.Sent)]
	}
	if cuts {
		p = p[:min(int64(len(p)), cut-s.get.Sent)]
	}
	n, err := s.ResponseWriter.Write(p)
	s.r.mu.Lock()
	s.get.Sent += int64(n)
	s.r.mu.Unlock()
	if f, ok := s.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	switch {
	case err != nil:
		return n, err
	case held && s.get.Sent >= hold:
		<-s.q.Context().Done()
		return n, fmt.Errorf("held: %w", s.q.Context().Err())
	case cuts && s.get.Sent >= cut:
		panic(http.ErrAbortHandler)
	case s.blob && s.rules.Slow > 0:
		select {
		case <-time.After(s.rules.Slow):
		case <-s.q.Context().Done():
		}
	}
	return n, nil
}
