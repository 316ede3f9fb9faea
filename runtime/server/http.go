package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// routes are the reads over HTTP. Nothing here changes anything.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	route(mux, "/v1/{kind}", s.httpList)
	route(mux, "/v1/{kind}/{name}", s.httpGet)
	route(mux, "/v1/logs/{task}", s.httpLogs)
	s.health(mux)
	route(mux, "/debug/pprof/", s.pprof)
	route(mux, "/", elsewhere("/v1/KIND, /v1/KIND/NAME, /v1/logs/TASK, /healthz, /readyz and /metrics"))
	return s.permitHTTP(readOnly(mux))
}

// HealthHandler answers /healthz, /readyz and /metrics and nothing else: for a port that anybody may ask.
func (s *Server) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	s.health(mux)
	route(mux, "/", elsewhere("/healthz, /readyz and /metrics"))
	return s.contain(readOnly(mux))
}

func (s *Server) health(mux *http.ServeMux) {
	route(mux, "/healthz", alive)
	route(mux, "/readyz", s.ready)
	route(mux, "/metrics", s.metrics)
}

// elsewhere answers for all other paths.
func elsewhere(there string) func(http.ResponseWriter, *http.Request) error {
	return func(_ http.ResponseWriter, r *http.Request) error {
		return fmt.Errorf("%s: %w; there are %s", r.URL.Path, store.ErrNotFound, there)
	}
}

func route(mux *http.ServeMux, pattern string, h func(http.ResponseWriter, *http.Request) error) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			fail(w, err)
		}
	})
}

func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "HTTP is for reading only; change things with warrenctl or gRPC"})
	})
}

// httpStatus are the HTTP statuses of errors, by their gRPC code, which api decides.
var httpStatus = map[codes.Code]int{
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.NotFound:           http.StatusNotFound,
	codes.Unimplemented:      http.StatusNotFound,
	codes.OutOfRange:         http.StatusGone,
	codes.Aborted:            http.StatusConflict,
	codes.AlreadyExists:      http.StatusConflict,
	codes.ResourceExhausted:  http.StatusInsufficientStorage,
	codes.FailedPrecondition: http.StatusServiceUnavailable,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
	codes.Canceled:           http.StatusServiceUnavailable,
}

func fail(w http.ResponseWriter, err error) {
	code, ok := httpStatus[status.Code(api.ToStatus(err))]
	if !ok {
		code = http.StatusInternalServerError
	}
	answer(w, code, map[string]string{"error": err.Error()})
}

// answerWithin is how long somebody may take to read an answer that is no stream.
const answerWithin = time.Minute

func answer(w http.ResponseWriter, code int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerWithin))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // fails only when nobody is there to hear
}

// list is the JSON of /v1/KIND.
type list struct {
	Revision store.Revision    `json:"revision"`
	Items    []json.RawMessage `json:"items"`
}

func (s *Server) httpList(w http.ResponseWriter, r *http.Request) error {
	f, err := s.httpFilter(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if on, err := flag(q.Get("watch"), "watch"); err != nil {
		return err
	} else if on {
		return s.httpWatch(w, r, f)
	}
	objects, rev, err := s.list(r.Context(), f)
	if err != nil {
		return err
	}
	out := list{Revision: rev, Items: make([]json.RawMessage, len(objects))}
	for i, o := range objects {
		out.Items[i] = o.JSON
	}
	answer(w, http.StatusOK, out)
	return nil
}

func (s *Server) httpFilter(r *http.Request) (filter, error) {
	known := []string{"labelSelector", "watch", "after"}
	if err := onlyParams(r, known); err != nil {
		return filter{}, err
	}
	k, err := s.kind(r)
	if err != nil {
		return filter{}, err
	}
	return newFilter(&api.Filter{Kinds: []string{k.Name}, Labels: r.URL.Query().Get("labelSelector")})
}

func (s *Server) kind(r *http.Request) (*meta.Kind, error) {
	k, err := s.config.Kinds.Find(r.PathValue("kind"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return k, nil
}

func (s *Server) httpGet(w http.ResponseWriter, r *http.Request) error {
	if err := onlyParams(r, nil); err != nil {
		return err
	}
	k, err := s.kind(r)
	if err != nil {
		return err
	}
	view, err := s.store(r.Context())
	if err != nil {
		return err
	}
	o, err := view.Get(r.Context(), meta.Key{Kind: k.Name, Name: r.PathValue("name")})
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, o)
	return nil
}

// onlyParams refuses parameters that would be ignored.
func onlyParams(r *http.Request, known []string) error {
	for _, name := range meta.SortedKeys(r.URL.Query()) {
		if !slices.Contains(known, name) {
			return api.Invalid("unknown parameter %q; there are: %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

func flag(value, name string) (bool, error) {
	if value == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, api.Invalid("parameter %s: %q is neither true nor false", name, value)
	}
	return on, nil
}

func number(value, name string, missing int64) (int64, error) {
	if value == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, api.Invalid("parameter %s: %q is no number", name, value)
	}
	return n, nil
}

func (s *Server) httpLogs(w http.ResponseWriter, r *http.Request) error {
	if s.config.Logs == nil {
		return notServed("logs")
	}
	if err := onlyParams(r, []string{"follow", "tail", "since", "previous"}); err != nil {
		return err
	}
	q := r.URL.Query()
	follow, err := flag(q.Get("follow"), "follow")
	if err != nil {
		return err
	}
	tail, err := number(q.Get("tail"), "tail", -1)
	if err != nil {
		return err
	}
	previous, err := flag(q.Get("previous"), "previous")
	if err != nil {
		return err
	}
	since, err := moment(q.Get("since"), "since")
	if err != nil {
		return err
	}
	return s.streamLogs(w, r, host.LogOptions{Follow: follow, Tail: int(tail), Since: since, Previous: previous})
}

// moment reads a time.
func moment(value, name string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return at, api.Invalid("parameter %s: %q is no time like 2026-01-02T15:04:05Z", name, value)
	}
	return at, nil
}

func alive(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("ok\n"))
	return ignore(err)
}

// ready writes one line for each check.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	checks, ok := s.checks(r.Context())
	w.Header().Set("Content-Type", "application/x-ndjson")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	for _, c := range checks {
		if err := enc.Encode(c); err != nil {
			return ignore(err)
		}
	}
	return nil
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if s.config.Metrics == nil {
		return notServed("metrics")
	}
	s.config.Metrics.ServeHTTP(w, r)
	return nil
}

// ignore drops the error of an answer that nobody reads any more.
func ignore(error) error { return nil }
