// Command inside is what the tests run in a task.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	arg := append(os.Args[1:], "", "")
	switch arg[0] {
	case "about":
		about()
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintln(os.Stderr, "end of input")
	case "exit":
		code, _ := strconv.Atoi(arg[1])
		os.Exit(code)
	case "sizes":
		sizes()
	case "signals":
		signals()
	case "parent": // leaves a child that holds its output
		child := exec.Command("/proc/self/exe", "sleep")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		_ = child.Start()
		fmt.Println("child")
		if arg[1] == "wait" {
			_ = child.Wait()
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "flood":
		for {
			if _, err := fmt.Println(strings.Repeat("x", 200)); err != nil {
				return
			}
		}
	case "write":
		if err := os.WriteFile(arg[1], []byte("x"), 0o644); err != nil {
			fmt.Println(err)
		}
	}
}

// about tells how the process is confined.
func about() {
	status, _ := os.ReadFile("/proc/self/status")
	out := map[string]any{"uid": os.Getuid(), "gid": os.Getgid(), "env": os.Environ()}
	out["dir"], _ = os.Getwd()
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "CapEff", "CapBnd", "Seccomp", "NoNewPrivs":
			out[name] = strings.TrimSpace(value)
		}
	}
	_, err := unix.IoctlGetTermios(0, unix.TCGETS)
	out["tty"] = err == nil
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

func size() {
	if w, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		fmt.Printf("size %dx%d\n", w.Col, w.Row)
	}
}

// sizes tells each size of the terminal until a line comes in.
func sizes() {
	changed := make(chan os.Signal, 10)
	signal.Notify(changed, syscall.SIGWINCH)
	size()
	go func() {
		for range changed {
			size()
		}
	}()
	_, _ = os.Stdin.Read(make([]byte, 100))
	fmt.Println("bye")
	os.Exit(7)
}

func signals() {
	come := make(chan os.Signal, 10)
	signal.Notify(come, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP)
	fmt.Println("waiting")
	for s := range come {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			os.Exit(9)
		}
	}
}
