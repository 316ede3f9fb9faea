// Command prog is the process in the containers of the tests: it does what its arguments say.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	number := 0
	if len(os.Args) > 2 {
		number, _ = strconv.Atoi(os.Args[2])
	}
	switch os.Args[1] {
	case "sleep":
		time.Sleep(time.Hour)
	case "exit":
		fmt.Println("bye")
		os.Exit(number)
	case "trap": // ends in good order on any signal that it is asked with
		wait(number)
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "lines":
		lines(number)
	case "crash":
		lines(number)
		panic("the last words")
	case "oom":
		eat()
	case "look":
		look()
		time.Sleep(time.Hour)
	}
}

func wait(code int) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	fmt.Println("ready")
	fmt.Println("got", <-c)
	os.Exit(code)
}

func lines(n int) {
	for i := range n {
		fmt.Fprintf(os.Stdout, "line %d of the output of this process, with some text to be as long as a usual one\n", i)
	}
}

func eat() {
	var all [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		all = append(all, b)
		if len(all) > 4096 {
			return
		}
	}
}

// seen is what the process finds around it.
type seen struct {
	Status, Cgroup, Mounts, Hosts, Resolv, HostnameFile, CPUMax string
	Hostname, Cwd                                               string
	Env, Args                                                   []string
	UID, GID                                                    int
	Groups                                                      []int
	WriteRoot, WriteTmp                                         string
}

func look() {
	s := seen{
		Status: read("/proc/self/status"), Cgroup: read("/proc/self/cgroup"), Mounts: read("/proc/self/mounts"),
		Hosts: read("/etc/hosts"), Resolv: read("/etc/resolv.conf"), HostnameFile: read("/etc/hostname"),
		Env: os.Environ(), Args: os.Args, UID: os.Getuid(), GID: os.Getgid(),
	}
	s.Hostname, _ = os.Hostname()
	s.Cwd, _ = os.Getwd()
	s.Groups, _ = os.Getgroups()
	if err := os.WriteFile("/written", nil, 0o600); err != nil {
		s.WriteRoot = err.Error()
	}
	out, _ := json.Marshal(s)
	fmt.Println(string(out))
}

func read(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
