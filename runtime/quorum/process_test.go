package quorum

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// childMember turns this test binary into a member of a cluster that is told what to do over a unix socket.
const childMember = "WARREN_QUORUM_MEMBER"

// orders is what a member process is started with.
type orders struct {
	Name, Address string
	Keys, Dir     string // certificates; everything else
	Join          *Joining
}

// answer is what a member process says to a request.
type answer struct {
	Value   int64
	Err     string
	Class   string // unknown, unavailable, fenced, other
	Leader  bool   // raft names it
	Term    int64  // revision of its reign, 0 where none runs
	Joining *Joining
	Members []Member
}

// hand is a member in a process of its own, seen from within.
type hand struct {
	*Quorum
	mu    sync.Mutex
	reign store.Store
	term  atomic.Int64
	cut   map[string]bool
	conns map[string][]net.Conn
}

func runMember(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	log := funcr.New(func(prefix, args string) { fmt.Fprintln(os.Stderr, prefix, args) }, funcr.Options{LogTimestamp: true})
	config := Config{DataDir: o.Dir + "/etcd", Name: o.Name, Kinds: v1.Kinds, Log: log, Peer: peerFiles(o.Keys, o.Name, o.Address)}
	d, err := openDoor(config.Peer)
	if err != nil {
		return err
	}
	h := &hand{cut: map[string]bool{}, conns: map[string][]net.Conn{}}
	if o.Join != nil && !Exists(config.DataDir) {
		h.Quorum, err = Join(context.Background(), config, *o.Join)
	} else {
		h.Quorum, err = Start(context.Background(), config)
	}
	if err != nil {
		return err
	}
	d.mount(h.gatekeeper(h.Handler()))
	go h.Lead(context.Background(), func(ctx context.Context, s store.Store) error {
		h.mu.Lock()
		h.reign = s
		h.mu.Unlock()
		h.term.Store(h.server.KV().Rev())
		<-ctx.Done()
		h.term.Store(0)
		return ctx.Err()
	})
	path := filepath.Join(o.Dir, "hand")
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("listens")
	go http.Serve(l, h)
	<-h.Done()
	return h.Err()
}

// gatekeeper refuses those that this member is cut off from.
func (h *hand) gatekeeper(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		name := r.TLS.PeerCertificates[0].Subject.CommonName
		cut := h.cut[name]
		h.conns[name] = append(h.conns[name], r.Context().Value(connKey{}).(net.Conn))
		h.mu.Unlock()
		if cut {
			http.Error(w, "cut off", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func (h *hand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := h.obey(r.Context(), r.URL.Path[1:], r.URL.Query())
	if err != nil {
		a.Err, a.Class = err.Error(), classOf(err)
	}
	a.Leader, a.Term = h.server.Leader() == h.server.MemberID(), h.term.Load()
	json.NewEncoder(w).Encode(a)
}

func classOf(err error) string {
	for _, c := range []struct {
		name string
		is   error
	}{{"unknown", store.ErrUnknown}, {"unavailable", store.ErrUnavailable}, {"fenced", store.ErrFenced}, {"gone", store.ErrNotFound}} {
		if errors.Is(err, c.is) {
			return c.name
		}
	}
	return "other"
}

func (h *hand) obey(ctx context.Context, verb string, args url.Values) (a answer, err error) {
	name := args.Get("name")
	switch verb {
	case "get":
		o, err := h.Store().Get(ctx, meta.Key{Kind: "Service", Name: name})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return a, err
		}
		if err == nil {
			a.Value = o.(*v1.Service).Status.Count
		}
	case "put", "rule": // rule: as the leader, behind its fence
		s := h.Store()
		if verb == "rule" {
			h.mu.Lock()
			s = h.reign
			h.mu.Unlock()
			if s == nil {
				return a, store.ErrFenced
			}
		}
		o := service(name)
		o.Status.Count, _ = strconv.ParseInt(args.Get("value"), 10, 64)
		a.Value, err = s.Commit(ctx, store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any})
	case "add":
		j, err := h.AddLearner(ctx, name, args.Get("address"))
		a.Joining = &j
		return a, err
	case "remove":
		err = h.Remove(ctx, name)
	case "members":
		a.Members, err = h.Members(ctx)
	case "cut":
		h.cutOff(strings.Fields(name))
	}
	return a, err
}

// cutOff ends all connections from the members of these names and takes no new ones; it hears all others. The other side
// is told to do the same.
func (h *hand) cutOff(names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = map[string]bool{}
	for _, n := range names {
		h.cut[n] = true
		for _, c := range h.conns[n] {
			c.Close()
		}
		delete(h.conns, n)
	}
}

// remote is a member in a process of its own, seen from the test.
type remote struct {
	orders
	t      testing.TB
	cmd    *exec.Cmd
	caller *http.Client
	ca     *authority
	run    func(program string, args ...string) *exec.Cmd
}

// processes starts a cluster of members in processes of their own.
func processes(t testing.TB, size int) []*remote {
	t.Helper()
	all := make([]*remote, size)
	for i := range all {
		all[i] = &remote{run: exec.Command, orders: orders{Address: freeAddress(t)}}
	}
	return processesOf(t, all)
}

// processesOf starts members that know how they run and where.
func processesOf(t testing.TB, planned []*remote) []*remote {
	t.Helper()
	dir, size := t.TempDir(), len(planned)
	ca := newAuthority(t, dir)
	var all []*remote
	for i, r := range planned {
		r.ca, r.t, r.Name, r.Keys = ca, t, fmt.Sprintf("n%d", i), dir
		r.Dir = filepath.Join(dir, r.Name)
		if err := os.Mkdir(r.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		ca.peer(t, r.Name, Role, r.Address)
		r.connect()
		if i > 0 {
			a := all[0].ask("add", "name", r.Name, "address", r.Address)
			if a.Err != "" {
				t.Fatal(a.Err)
			}
			r.Join = a.Joining
		}
		r.start()
		t.Cleanup(r.kill)
		eventually(t, r.Name+" votes", func() bool {
			voters := 0
			for _, m := range r.ask("members").Members {
				if !m.Learner {
					voters++
				}
			}
			return voters == i+1
		})
		all = append(all, r)
	}
	eventually(t, "everybody knows everybody", func() bool {
		for _, r := range all {
			voters, reachable := votes(r.ask("members").Members)
			if voters != size || reachable != size {
				return false
			}
		}
		return true
	})
	return all
}

func (r *remote) start() {
	r.t.Helper()
	if err := r.tryStart(); err != nil {
		log, _ := os.ReadFile(filepath.Join(r.Dir, "log"))
		r.t.Fatalf("%s did not start: %v: %s", r.Name, err, log[max(0, len(log)-3000):])
	}
}

// errEnded means that a member's process ended before it listened.
var errEnded = errors.New("the process ended")

func (r *remote) tryStart() error {
	text, _ := json.Marshal(r.orders)
	r.cmd = r.run(os.Args[0], "-test.run=^$")
	r.cmd.Env = append(os.Environ(), childMember+"="+string(text))
	said, err := os.OpenFile(filepath.Join(r.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	r.cmd.Stderr = said
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		return err
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "listens\n" {
		r.kill()
		return errEnded
	}
	go io.Copy(io.Discard, out)
	return nil
}

// ended tells that the process is there no more.
func (r *remote) ended() bool {
	a := r.askFor(time.Second, "look")
	return a.Err != ""
}

// sibling plans a member beside this one, with a certificate of the same authority.
func (r *remote) sibling(name string) *remote {
	r.t.Helper()
	n := &remote{t: r.t, run: r.run, orders: orders{Name: name, Address: freeAddress(r.t), Keys: r.Keys, Dir: filepath.Join(r.Keys, name)}}
	if err := os.Mkdir(n.Dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.ca.peer(r.t, name, Role, n.Address)
	n.connect()
	r.t.Cleanup(n.kill)
	return n
}

// connect makes what the test speaks to the member with.
func (r *remote) connect() {
	r.caller = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(r.Dir, "hand"))
	}}}
}

// kill ends the process as a power cut would, also while it is stopped.
func (r *remote) kill() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		r.cmd = nil
	}
}

func (r *remote) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// ask waits long: who is killed or stopped meanwhile gives no answer, which is an unknown one.
func (r *remote) ask(verb string, args ...string) answer {
	return r.askFor(20*time.Second, verb, args...)
}

func (r *remote) askFor(d time.Duration, verb string, args ...string) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	q := url.Values{}
	for i := 0; i+1 < len(args); i += 2 {
		q.Set(args[i], args[i+1])
	}
	// A POST: what may have been sent is not sent again by itself.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://member/"+verb+"?"+q.Encode(), nil)
	if err != nil {
		return answer{Err: err.Error(), Class: "other"}
	}
	resp, err := r.caller.Do(req)
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return answer{Err: err.Error(), Class: "unavailable"} // nothing was sent
	}
	if err != nil {
		return answer{Err: err.Error(), Class: "unknown"}
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return answer{Err: err.Error(), Class: "unknown"}
	}
	return a
}

// ruler waits until raft's leader among these has begun to reign.
func ruler(t testing.TB, all []*remote) *remote {
	t.Helper()
	var found *remote
	eventually(t, "a reign", func() bool {
		for _, r := range all {
			if a := r.askFor(time.Second, "look"); a.Leader && a.Term > 0 {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func others(all []*remote, r *remote) (out []*remote) {
	for _, x := range all {
		if x != r {
			out = append(out, x)
		}
	}
	return out
}
