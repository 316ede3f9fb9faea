// Command hello is the demo image: a small web server that says who and where it is, and that can be told to misbehave.
//
// It listens on port 8080 (PORT). / answers with the task, the node, the service, its environment and a counter, as text or, with
// ?format=json, as JSON; /env the environment alone; /healthz always "ok"; /crash ends the process at once with code 1; /slow?d=2s
// takes its time. Every request is one line on standard output. SIGTERM, SIGINT, SIGQUIT, SIGHUP and SIGUSR1 end it cleanly.
//
// What the flags ask for happens in this order, before it serves:
//
//	-eat 64Mi      allocate and keep so much memory
//	-lines N       write N lines to standard output (-1: without end); -rate R of them a second, -width W bytes each,
//	               -stderr every second one to standard error
//	-exit N        exit with code N
//	-fail-after D  exit with code 1 after D, serving until then
//	-stop-slow D   take D to end after a signal
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options is what the flags ask for.
type options struct {
	eat       size
	lines     lines
	exit      int
	failAfter time.Duration
	stopSlow  time.Duration
}

func main() {
	var o options
	flag.Var(&o.eat, "eat", "allocate and keep so much memory, e.g. 64Mi")
	flag.IntVar(&o.lines.count, "lines", 0, "write so many `lines` to standard output, -1 for no end")
	flag.Float64Var(&o.lines.rate, "rate", 0, "lines a second, 0 for as fast as possible")
	flag.IntVar(&o.lines.width, "width", 0, "bytes of a line, 0 for as many as it needs")
	flag.BoolVar(&o.lines.stderr, "stderr", false, "every second line goes to standard error")
	flag.IntVar(&o.exit, "exit", -1, "exit with this `code` before serving")
	flag.DurationVar(&o.failAfter, "fail-after", 0, "exit with code 1 after so long")
	flag.DurationVar(&o.stopSlow, "stop-slow", 0, "take so long to end after a signal")
	flag.Parse()
	os.Exit(run(o))
}

func run(o options) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1)
	kept := eat(int(o.eat))
	defer func() { clear(kept) }() // in use until the end, or the collector would take it back
	if s := o.lines.write(signals); s != nil {
		return stop(s, o.stopSlow)
	}
	if o.exit >= 0 {
		return o.exit
	}
	return serve(signals, o)
}

// serve answers until a signal or the time to fail comes.
func serve(signals <-chan os.Signal, o options) int {
	l, err := net.Listen("tcp", net.JoinHostPort("", env("PORT", "8080")))
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		return 1
	}
	server := &http.Server{Handler: newPage().handler(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	fmt.Println("hello: listening on", l.Addr())

	select {
	case s := <-signals:
		code := stop(s, o.stopSlow)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // a request that takes longer than this is cut off, as its sender must expect
		return code
	case <-after(o.failAfter):
		fmt.Fprintln(os.Stderr, "hello: failing after", o.failAfter, "as told")
		return 1
	case err := <-ended:
		if !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "hello:", err)
		}
		return 1
	}
}

func stop(s os.Signal, slow time.Duration) int {
	fmt.Println("hello: stopping on", s)
	time.Sleep(slow)
	fmt.Println("hello: stopped")
	return 0
}

// after is time.After, and never for no time.
func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
