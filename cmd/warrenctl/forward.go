package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store/grpcstore"
)

func (p *program) forwardVerb() *cli.Command {
	return &cli.Command{
		Name: "port-forward", Usage: "reach ports of a task from here", ArgsUsage: "TASK|service/NAME [LOCAL:]REMOTE...",
		Description: "Listens on this machine's loopback and passes each connection on to the task, until it is interrupted.\n" +
			"LOCAL 0 takes any free port. Of a service it takes a task that runs, for each connection anew.",
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) < 2 {
				return try(usagef("which port of what?"), "warrenctl port-forward TASK 8080")
			}
			pairs, err := portPairs(words[1:])
			if err != nil {
				return err
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			task, err := taskNamed(c.Context, s, words[0])
			if err != nil {
				return err
			}
			if err := runs(c.Context, s, task); err != nil {
				return err
			}
			f := &forwarding{p: p, s: s, target: words[0]}
			return f.run(c.Context, pairs)
		},
	}
}

// portPair is a port here and one of the task.
type portPair struct{ local, remote int }

func portPairs(words []string) ([]portPair, error) {
	var out []portPair
	for _, w := range words {
		local, remote, two := strings.Cut(w, ":")
		if !two {
			remote = local
		}
		l, errL := strconv.Atoi(local)
		r, errR := strconv.Atoi(remote)
		if errL != nil || errR != nil || l < 0 || l > 65535 || r < 1 || r > 65535 {
			return nil, usagef("%q is no port; write REMOTE or LOCAL:REMOTE, like 8080:80", w)
		}
		out = append(out, portPair{l, r})
	}
	return out, nil
}

// forwarding is one call of port-forward.
type forwarding struct {
	p      *program
	s      *grpcstore.Store
	target string
	open   sync.WaitGroup
}

// run listens on all ports or on none, and ends with ctx.
func (f *forwarding) run(ctx context.Context, pairs []portPair) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.open.Wait()
	defer cancel()
	var listeners []net.Listener
	for _, x := range pairs {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(x.local)))
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return fmt.Errorf("port-forward: %w", err)
		}
		listeners = append(listeners, l)
	}
	for i, l := range listeners {
		f.p.printf("%s -> %s port %d\n", l.Addr(), f.target, pairs[i].remote)
		f.open.Go(func() { f.accept(ctx, l, pairs[i].remote) })
	}
	<-ctx.Done()
	for _, l := range listeners {
		_ = l.Close()
	}
	return ctx.Err()
}

func (f *forwarding) accept(ctx context.Context, l net.Listener, port int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		f.open.Go(func() {
			if err := f.connect(ctx, c, port); err != nil && ctx.Err() == nil {
				f.p.note("port-forward: %v", err)
			}
		})
	}
}

// connect passes one connection on until both sides have closed it. An error ends it so that the local side sees it too.
func (f *forwarding) connect(ctx context.Context, local net.Conn, port int) error {
	defer func() { _ = local.Close() }()
	task, err := taskNamed(ctx, f.s, f.target)
	if err != nil {
		return err
	}
	remote, err := f.s.DialTask(ctx, task, port)
	if err != nil {
		reset(local)
		return err
	}
	defer func() { _ = remote.Close() }()
	release := context.AfterFunc(ctx, func() { _, _ = local.Close(), remote.Close() })
	defer release()
	out := make(chan struct{})
	go func() {
		defer close(out)
		if _, err := io.Copy(remote, onlyReader{local}); err != nil {
			_ = remote.Close()
			return
		}
		_ = remote.(interface{ CloseWrite() error }).CloseWrite()
	}()
	_, err = io.Copy(onlyWriter{local}, remote)
	if err != nil {
		reset(local)
	} else if tcp, ok := local.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	<-out
	if errors.Is(err, host.ErrNotRunning) {
		return err
	}
	return nil
}

// onlyReader and onlyWriter hide what io.Copy would use instead of a buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// reset tells the local side that this was no end in good order.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
