package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// page answers requests and counts them.
type page struct {
	about about
	count atomic.Int64
}

// about is who and where this process is: what a test wants to read back from inside a container.
type about struct {
	Service  string   `json:"service"`
	Task     string   `json:"task"`
	Node     string   `json:"node"`
	Hostname string   `json:"hostname"`
	Count    int64    `json:"count"` // of answers, this one included
	PID      int      `json:"pid"`
	UID      int      `json:"uid"`
	GID      int      `json:"gid"`
	Dir      string   `json:"dir"`
	Args     []string `json:"args"`
	Env      []string `json:"env"`
}

func newPage() *page {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	environ := os.Environ()
	slices.Sort(environ)
	return &page{about: about{
		Service:  env("WARREN_SERVICE", "hello"),
		Task:     env("WARREN_TASK", host),
		Node:     env("WARREN_NODE", "unknown"),
		Hostname: host,
		PID:      os.Getpid(),
		UID:      os.Getuid(),
		GID:      os.Getgid(),
		Dir:      dir,
		Args:     os.Args[1:],
		Env:      environ,
	}}
}

func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.home)
	mux.HandleFunc("GET /env", p.env)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /slow", slow)
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "hello: crashing as told")
		os.Exit(1)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL, "from", r.RemoteAddr) // before the answer, as /crash has no after
		mux.ServeHTTP(w, r)
	})
}

func (p *page) home(w http.ResponseWriter, r *http.Request) {
	a := p.about
	a.Count = p.count.Add(1)
	if r.FormValue("format") == "json" {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a)
		return
	}
	fmt.Fprintf(w, "Hello from %s, task %s on node %s.\nThis is answer %d of process %d on host %s.\n\n%s\n",
		a.Service, a.Task, a.Node, a.Count, a.PID, a.Hostname, strings.Join(a.Env, "\n"))
}

func (p *page) env(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, strings.Join(p.about.Env, "\n"))
}

func slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.FormValue("d"))
	if err != nil {
		http.Error(w, "slow: d: a time is needed, such as /slow?d=2s", http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(d):
		fmt.Fprintln(w, "answered after", d)
	case <-r.Context().Done():
	}
}
