package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
)

// DialAny returns a store behind the managers of one cluster: calls go to the first that answers, in the order of targets, and move on
// when it is gone or says that it cannot serve. What writes moves on only where it is known that nothing was done.
func DialAny(targets []string, o Options) (*Store, error) {
	if len(targets) == 1 {
		return Dial(targets[0], o)
	}
	s := &several{}
	for _, t := range targets {
		m, err := Dial(t, o)
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		s.members = append(s.members, m.Conn)
	}
	if len(s.members) == 0 {
		return nil, errors.New("no server was named")
	}
	c := &Conn{target: strings.Join(targets, ","), kinds: s.members[0].kinds, stale: o.Stale, link: s, others: len(targets) - 1}
	c.api, c.nodes = api.NewWarrenClient(c.link), api.NewMembershipClient(c.link)
	return &Store{Conn: c}, nil
}

// nextAfter is how long one is waited for before the next is tried beside it. A manager on the same continent needs less.
const nextAfter = 300 * time.Millisecond

// reads may be asked again elsewhere, whatever became of the first time.
var reads = []string{
	api.Warren_Get_FullMethodName, api.Warren_List_FullMethodName, api.Warren_Watch_FullMethodName, api.Warren_Info_FullMethodName,
	api.Warren_Why_FullMethodName, api.Warren_Graph_FullMethodName, api.Warren_ListImages_FullMethodName, api.Warren_Usage_FullMethodName,
	api.Warren_Logs_FullMethodName, api.Warren_WatchPulls_FullMethodName, api.Membership_Whoami_FullMethodName, api.Membership_Managers_FullMethodName, api.Audit_Read_FullMethodName,
}

// several are connections to managers of one cluster.
type several struct {
	members []*Conn

	mu sync.Mutex
	at int // the one to try first
}

// Close ends all connections.
func (s *several) Close() error {
	var err error
	for _, m := range s.members {
		err = errors.Join(err, m.Close())
	}
	return err
}

// order are the members that were not tried, the preferred one first.
func (s *several) order(tried []int) (out []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.members {
		if i := (s.at + n) % len(s.members); !slices.Contains(tried, i) {
			out = append(out, i)
		}
	}
	return out
}

// leave prefers the next from now on.
func (s *several) leave(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == i {
		s.at = (i + 1) % len(s.members)
	}
}

// pick returns one that is connected, of those that were not tried.
func (s *several) pick(ctx context.Context, tried []int) (int, error) {
	order := s.order(tried)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		i  int
		ok bool
	}
	results := make(chan result, len(order))
	begun, failed := 0, 0
	begin := func() {
		if begun < len(order) {
			i := order[begun]
			begun++
			go func() { results <- result{i, connected(ctx, s.members[i].link.(*grpc.ClientConn))} }()
		}
	}
	next := time.NewTicker(nextAfter)
	defer next.Stop()
	for begin(); failed < len(order); {
		select {
		case r := <-results:
			if r.ok {
				s.prefer(r.i)
				return r.i, nil
			}
			failed++
			begin()
		case <-next.C:
			begin()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, s.nobody(ctx, order)
}

func (s *several) prefer(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = i
}

// connected waits until a connection is there, or has failed.
func connected(ctx context.Context, c *grpc.ClientConn) bool {
	c.Connect()
	for {
		switch state := c.GetState(); state {
		case connectivity.Ready:
			return true
		case connectivity.TransientFailure, connectivity.Shutdown:
			return false
		default:
			if state == connectivity.Idle {
				c.Connect()
			}
			if !c.WaitForStateChange(ctx, state) {
				return false
			}
		}
	}
}

// nobody says of each why it cannot be reached.
func (s *several) nobody(ctx context.Context, order []int) error {
	var lines []string
	var causes []error
	for _, i := range order {
		m := s.members[i]
		_, err := m.nodes.Whoami(ctx, &api.WhoamiRequest{}) // which fails at once, and says why
		if err == nil {
			err = status.Error(codes.Unavailable, "it was away just now")
		}
		said := m.explain(ctx, err)
		lines, causes = append(lines, said.Error()), append(causes, said)
	}
	return &unreachable{text: strings.Join(lines, "\n"), cause: errors.Join(causes...)}
}

// moves tells whether a call that failed may be made elsewhere.
func moves(method string, err error, sent bool) bool {
	if theirs, answered := api.FromStatus(err); answered {
		return errors.Is(theirs, store.ErrUnavailable) && !errors.Is(theirs, store.ErrUnknown)
	}
	return status.Code(err) == codes.Unavailable && (!sent || slices.Contains(reads, method))
}

// Invoke implements grpc.ClientConnInterface.
func (s *several) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var tried []int
	var last error
	for len(tried) < len(s.members) {
		i, err := s.pick(ctx, tried)
		if err != nil {
			if last != nil {
				return last // which says more than that the others are gone
			}
			return err
		}
		var to peer.Peer
		last = s.members[i].link.Invoke(ctx, method, args, reply, append(slices.Clone(opts), grpc.Peer(&to))...)
		if last == nil || ctx.Err() != nil || !moves(method, last, to.Addr != nil) {
			return last
		}
		tried = append(tried, i)
		s.leave(i)
	}
	return last
}

// NewStream implements grpc.ClientConnInterface.
func (s *several) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	r := &replay{several: s, ctx: ctx, desc: desc, method: method, opts: opts, again: slices.Contains(reads, method)}
	return r, r.open()
}

// replay is a stream that begins anew elsewhere while nothing has come on it.
type replay struct {
	grpc.ClientStream
	several *several
	ctx     context.Context
	desc    *grpc.StreamDesc
	method  string
	opts    []grpc.CallOption

	again bool // it may
	at    int
	tried []int
	asked []any
}

func (r *replay) open() error {
	for {
		i, err := r.several.pick(r.ctx, r.tried)
		if err != nil {
			return err
		}
		r.at, r.tried = i, append(r.tried, i)
		if r.ClientStream, err = r.several.members[i].link.NewStream(r.ctx, r.desc, r.method, r.opts...); err == nil {
			return nil
		}
		r.several.leave(i)
		if r.ctx.Err() != nil || status.Code(err) != codes.Unavailable || len(r.tried) == len(r.several.members) {
			return err
		}
	}
}

// SendMsg implements grpc.ClientStream.
func (r *replay) SendMsg(m any) error {
	if r.again {
		r.asked = append(r.asked, m)
	}
	return r.ClientStream.SendMsg(m)
}

// RecvMsg implements grpc.ClientStream.
func (r *replay) RecvMsg(m any) error {
	for {
		err := r.ClientStream.RecvMsg(m)
		if err == nil {
			r.again, r.asked = false, nil
			return nil
		}
		if r.ctx.Err() != nil || !moves(r.method, err, true) && status.Code(err) != codes.Unavailable {
			return err
		}
		r.several.leave(r.at)
		if !r.again || !moves(r.method, err, true) || len(r.tried) == len(r.several.members) || r.repeat() != nil {
			return err
		}
	}
}

// repeat asks elsewhere what was asked.
func (r *replay) repeat() error {
	if err := r.open(); err != nil {
		return err
	}
	for _, m := range r.asked {
		if err := r.ClientStream.SendMsg(m); err != nil {
			return fmt.Errorf("ask again: %w", err)
		}
	}
	return r.ClientStream.CloseSend()
}
