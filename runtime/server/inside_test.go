package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store/grpcstore"
)

// fakeInside runs commands that are functions.
type fakeInside struct {
	commands map[string]func(ctx context.Context, c host.Command) (int, error)
	dial     func(port int) (net.Conn, error)
	files    bytes.Buffer
}

func (f *fakeInside) Exec(ctx context.Context, task string, c host.Command) (int, error) {
	do := f.commands[c.Args[0]]
	if do == nil {
		return 0, fmt.Errorf("exec in %s: %w: %q", task, host.ErrNoCommand, c.Args[0])
	}
	return do(ctx, c)
}

func (f *fakeInside) DialTask(_ context.Context, _ string, port int) (net.Conn, error) {
	return f.dial(port)
}

func (f *fakeInside) ReadFiles(_ context.Context, _, path string, to io.Writer) error {
	if path != "/data" {
		return fmt.Errorf("read %s: %w", path, host.ErrNoFile)
	}
	_, err := to.Write(f.files.Bytes())
	return err
}

func (f *fakeInside) WriteFiles(_ context.Context, _, path, name string, from io.Reader) error {
	if path == "/ro" {
		return fmt.Errorf("write %s: %w", path, host.ErrReadOnly)
	}
	f.files.Reset()
	_, err := f.files.ReadFrom(from)
	return err
}

func (f *fakeInside) Usage(context.Context) (host.Usage, error) {
	return host.Usage{Node: "n1", Time: time.Unix(5, 6).UTC(), Cores: 2, DiskSize: 10, DiskUsed: 4, Total: host.Counters{CPU: time.Second, Memory: 1, MemoryLimit: 2, Received: 3, Sent: 4, Read: 5, Wrote: 6, Pids: 7},
		Tasks: []host.TaskUsage{{Name: "web-1-1", Service: "web", Attempt: 3, Counters: host.Counters{CPU: time.Minute, Memory: 9}}}}, nil
}

func inside(t *testing.T, f *fakeInside) *grpcstore.Store {
	t.Helper()
	return serve(t, func(c *Config) { c.Inside, c.Meter = f, f }).dial(t)
}

func TestExecStreams(t *testing.T) {
	leaks(t)
	f := &fakeInside{commands: map[string]func(context.Context, host.Command) (int, error){
		"cat": func(_ context.Context, c host.Command) (int, error) {
			_, err := io.Copy(c.Stdout, c.Stdin)
			fmt.Fprint(c.Stderr, "done")
			return 3, err
		},
		"terminal": func(_ context.Context, c host.Command) (int, error) {
			fmt.Fprintf(c.Stdout, "%v %s %v ", c.TTY, c.Term, c.Size)
			fmt.Fprint(c.Stdout, <-c.Events, c.Stdin)
			return 0, nil
		},
	}}
	s := inside(t, f)
	big := strings.Repeat("0123456789", 300_000) // many times the window
	var out, errs bytes.Buffer
	code, err := s.Exec(t.Context(), "web-1", host.Command{Args: []string{"cat"}, Stdin: strings.NewReader(big), Stdout: &out, Stderr: &errs})
	if code != 3 || err != nil || out.String() != big || errs.String() != "done" {
		t.Errorf("cat: %d %v, %d bytes, %q", code, err, out.Len(), errs.String())
	}
	events := make(chan host.CommandEvent, 1)
	events <- host.CommandEvent{Size: host.TerminalSize{Width: 3, Height: 4}}
	out.Reset()
	_, err = s.Exec(t.Context(), "web-1", host.Command{Args: []string{"terminal"}, TTY: true, Term: "vt100", Size: host.TerminalSize{Width: 1, Height: 2}, Events: events, Stdout: &out})
	if got := out.String(); err != nil || got != "true vt100 {1 2} {{3 4} } <nil>" {
		t.Errorf("terminal: %q %v", got, err)
	}
	if _, err := s.Exec(t.Context(), "web-1", host.Command{Args: []string{"none"}}); !errors.Is(err, host.ErrNoCommand) {
		t.Errorf("no command: %v", err)
	}
	if _, err := s.Exec(t.Context(), "web-1", host.Command{}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("nothing to run: %v", err)
	}
}

// endless is input that never ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestSignalBehindInput: a command that reads nothing still hears a signal, and is told when its caller has gone.
func TestSignalBehindInput(t *testing.T) {
	leaks(t)
	begun, gone := make(chan struct{}, 1), make(chan error, 1)
	f := &fakeInside{commands: map[string]func(context.Context, host.Command) (int, error){
		"deaf": func(_ context.Context, c host.Command) (int, error) {
			begun <- struct{}{}
			e := <-c.Events
			fmt.Fprint(c.Stdout, e.Signal)
			return 130, nil
		},
		"wait": func(ctx context.Context, c host.Command) (int, error) {
			begun <- struct{}{}
			<-ctx.Done()
			gone <- ctx.Err()
			return 0, ctx.Err()
		},
	}}
	s := inside(t, f)
	events := make(chan host.CommandEvent)
	go func() {
		<-begun
		events <- host.CommandEvent{Signal: "SIGINT"}
	}()
	var out bytes.Buffer
	code, err := s.Exec(t.Context(), "web-1", host.Command{Args: []string{"deaf"}, Stdin: endless{}, Stdout: &out, Events: events})
	if code != 130 || err != nil || out.String() != "SIGINT" {
		t.Errorf("%d %v %q", code, err, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := s.Exec(ctx, "web-1", host.Command{Args: []string{"wait"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	select {
	case <-gone:
	case <-time.After(soon):
		t.Error("the command was not told that its caller has gone")
	}
}

// TestFlood: who sends more than the window is cut off instead of filling memory.
func TestFlood(t *testing.T) {
	i := newInbox(10, func(int) {})
	if err := i.put(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if err := i.put(make([]byte, 3)); !errors.Is(err, errFlood) {
		t.Fatalf("over the window: %v", err)
	}
	if n, err := i.Read(make([]byte, 20)); n != 8 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	if _, err := i.Read(make([]byte, 20)); !errors.Is(err, errFlood) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestForwardClosesBothWays(t *testing.T) {
	leaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // answers only when the other side has said all
				defer c.Close()
				all, _ := io.ReadAll(c)
				_, _ = fmt.Fprintf(c, "%d bytes", len(all))
			}()
		}
	}()
	f := &fakeInside{dial: func(port int) (net.Conn, error) {
		if port != 80 {
			return nil, errors.New("nobody is there")
		}
		return net.Dial("tcp", l.Addr().String())
	}}
	s := inside(t, f)
	c, err := s.DialTask(t.Context(), "web-1", 80)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 1_000_000)); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if string(answer) != "1000000 bytes" || err != nil {
		t.Errorf("%q %v", answer, err)
	}
	if _, err := s.DialTask(t.Context(), "web-1", 81); err == nil || err.Error() != "nobody is there" {
		t.Errorf("another port: %v", err)
	}
}

func TestFilesAndUsage(t *testing.T) {
	leaks(t)
	f := &fakeInside{}
	s := inside(t, f)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	if err := s.WriteFiles(t.Context(), "web-1", "/data", "x", bytes.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := s.ReadFiles(t.Context(), "web-1", "/data", &got); err != nil || !bytes.Equal(got.Bytes(), big) {
		t.Errorf("%d bytes back, %v", got.Len(), err)
	}
	if err := s.ReadFiles(t.Context(), "web-1", "/none", &got); !errors.Is(err, host.ErrNoFile) {
		t.Errorf("no file: %v", err)
	}
	if err := s.WriteFiles(t.Context(), "web-1", "/ro", "x", bytes.NewReader(big)); !errors.Is(err, host.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	want, _ := f.Usage(t.Context())
	u, err := s.Usage(t.Context())
	if fmt.Sprint(u) != fmt.Sprint(want) || err != nil {
		t.Errorf("%v %v", u, err)
	}
	if _, err := serve(t, nil).dial(t).Usage(t.Context()); !errors.Is(err, grpcstore.ErrNotServed) {
		t.Errorf("without a meter: %v", err)
	}
}
