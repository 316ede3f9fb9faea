package containerd

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
)

func TestAsksFor(t *testing.T) {
	const status = "Name:\tx\nSigBlk:\t0000000000000200\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180004002\n"
	for sig, want := range map[syscall.Signal]bool{
		syscall.SIGTERM: true, syscall.SIGINT: true, syscall.SIGPIPE: true, syscall.SIGUSR1: false, syscall.SIGHUP: false, 33: true, 64: false,
	} {
		if got := asksFor(status, sig); got != want {
			t.Errorf("%s: %t, want %t", sig, got, want)
		}
	}
}

func TestHandles(t *testing.T) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR2)
	defer signal.Stop(c)
	if !handles(os.Getpid(), syscall.SIGUSR2) {
		t.Error("a handler of ours is not seen")
	}
	if !handles(1<<30, syscall.SIGUSR2) {
		t.Error("a process that is no more is waited for")
	}
}
