//go:build e2e

package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestPortForward(t *testing.T) {
	w := running(t)
	w.apply(service("web", image+"replicas: 2"), "--wait")
	cmd := w.host.Command(context.Background(), warrenctl, "port-forward", "service/web", "0:8080", "0:81")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	s := w.session(cmd, out)
	local := func() string {
		select {
		case line := <-s.lines:
			at, rest, _ := strings.Cut(line, " -> ")
			t.Log(rest)
			return at
		case <-time.After(patience):
			t.Fatal("port-forward says nothing")
			return ""
		}
	}
	open, closed := local(), local()
	answer := func() {
		a, err := get(w.inside, "http://"+open+"/healthz")
		if err != nil || a.body != "ok\n" && a.body != "ok" {
			t.Errorf("%+v %v", a, err)
		}
	}
	answer()
	routines := w.goroutines()
	begin := time.Now()
	var all sync.WaitGroup
	for range 200 {
		all.Go(answer)
	}
	all.Wait()
	t.Logf("200 connections at once took %v", time.Since(begin))

	// Half of a connection: the request is over, the answer still comes.
	c, err := w.dialInside(t.Context(), "tcp", open)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /slow?d=300ms HTTP/1.0\r\n\r\n")
	_ = c.(*net.TCPConn).CloseWrite()
	if text, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(text), "HTTP/1.0 200") {
		t.Errorf("half-closed: %q %v", text, err)
	}
	_ = c.Close()
	if _, err := get(w.inside, "http://"+closed+"/"); err == nil {
		t.Error("a port where nobody listens answers")
	}

	// Its task is replaced: the next connection goes to another one.
	w.ctl("scale", "service/web=1")
	w.one("web", "one is left", ready)
	w.await("an answer of the task that is left", func() bool {
		a, err := get(w.inside, "http://"+open+"/healthz")
		return err == nil && a.code == http.StatusOK
	})
	w.await("connections are gone", func() bool { return w.goroutines() <= routines+5 })
	_ = cmd.Process.Signal(syscall.SIGINT)
	if code := s.code(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	contains(t, "stderr", errs.String(), "port 81: connection refused: nothing listens on 10.")
}
