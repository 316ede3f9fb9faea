package warrenctl

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/store/memstore"
)

// TestForward: a connection comes through and ends on both sides, a refused one is told of and cut, and at the end nothing
// listens any more.
func TestForward(t *testing.T) {
	task := meta.New[v1.Task]("web-1-1")
	task.Spec.Service = "web"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{Store: store.Admit(memstore.New(task), v1.Kinds, time.Now), Kinds: v1.Kinds, Log: logr.Discard(), Inside: &someInside{}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpcstore.Dial(l.Addr().String(), grpcstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out, errs text
	ctx, cancel := context.WithCancel(t.Context())
	f := &forwarding{p: &program{out: &out, err: &errs}, s: conn, target: "web-1-1"}
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx, []portPair{{0, 80}, {0, 81}}) }()
	n := &live{t: t}
	n.prints(&out, "port 81\n")
	var places []string
	for line := range strings.Lines(out.String()) {
		place, _, _ := strings.Cut(line, " -> ")
		places = append(places, place)
	}
	say := func(place string) (string, error) {
		c, err := net.Dial("tcp", place)
		if err != nil {
			return "", err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(soon))
		_, _ = c.Write([]byte("hello"))
		answer, err := io.ReadAll(c)
		return string(answer), err
	}
	if got, err := say(places[0]); got != "hello" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if got, err := say(places[1]); got != "" || err == nil {
		t.Errorf("a port where nobody listens: %q %v", got, err)
	}
	n.prints(&errs, "port-forward: connect to web-1-1 port 81: connection refused\n")
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("ended with %v", err)
	}
	if _, err := say(places[0]); err == nil {
		t.Error("somebody listens still")
	}
	_ = conn.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-served
}

var _ host.Inside = (*someInside)(nil)
