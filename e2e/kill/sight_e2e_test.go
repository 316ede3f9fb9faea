//go:build e2e

package kill

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "warren.io/warren/apis/v1"
)

// sight is one look at everything.
type sight struct {
	revision int64
	services map[string]*v1.Service
	objects  []*v1.Task
	tasks    map[string]seen
	problems []string
}

// seen is what tells a task that was started again from one that was left alone.
type seen struct {
	uid      int64
	service  string
	slot     int
	process  string // pid and time of start
	restarts int
	count    int64 // answers that the process has given
}

func (s *sight) complain(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// look compares the store with the model, and the machine with the store. It stops early where the rest has no meaning yet.
func (w *world) look(ctx context.Context) *sight {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := &sight{services: map[string]*v1.Service{}, tasks: map[string]seen{}}
	if why := w.node.died(); why != "" {
		s.complain("%s", why)
		return s
	}
	if why := w.node.unready(ctx); why != "" {
		s.complain("%s", why)
		return s
	}
	if err := s.read(ctx, w.node); err != nil {
		s.complain("%v", err)
		return s
	}
	if err := w.model.accept(s.services); err != nil {
		s.complain("%v", err)
		return s
	}
	s.checkServices()
	if len(s.problems) == 0 {
		s.checkMachine(ctx, w.node)
	}
	if len(s.problems) == 0 {
		for _, t := range s.objects {
			s.ask(ctx, w.node, t)
		}
	}
	return s
}

func (s *sight) read(ctx context.Context, n *node) error {
	all, revision, err := n.store.Only("Service", "Task").List(ctx)
	if err != nil {
		return err
	}
	s.revision = revision
	for _, o := range all {
		switch o := o.(type) {
		case *v1.Service:
			s.services[o.Metadata.Name] = o
		case *v1.Task:
			s.objects = append(s.objects, o)
		}
	}
	return nil
}

// checkServices demands that every service is as it wants to be, in its own words and in those of its tasks.
func (s *sight) checkServices() {
	tasks := map[string][]*v1.Task{}
	for _, t := range s.objects {
		tasks[t.Spec.Service] = append(tasks[t.Spec.Service], t)
		if s.services[t.Spec.Service] == nil {
			s.complain("task %s belongs to no service", t.Metadata.Name)
		}
	}
	for name, svc := range s.services {
		st, want := svc.Status, *svc.Spec.Replicas
		if st.ObservedGeneration != svc.Metadata.Generation || st.Desired != want || st.Tasks != want || st.Updated != want || st.Ready != want {
			s.complain("service %s of generation %d wants %d tasks, its status is %s", name, svc.Metadata.Generation, want, asJSON(st))
		}
		if len(tasks[name]) != want {
			s.complain("service %s wants %d tasks and has %d", name, want, len(tasks[name]))
		}
		slots := map[int]bool{}
		for _, t := range tasks[name] {
			slots[t.Spec.Slot] = true
			s.checkTask(t, svc)
		}
		if len(slots) != len(tasks[name]) {
			s.complain("service %s has two tasks in one slot", name)
		}
	}
}

func (s *sight) checkTask(t *v1.Task, svc *v1.Service) {
	switch {
	case !t.Metadata.Deleted.IsZero():
		s.complain("task %s is being deleted", t.Metadata.Name)
	case t.Metadata.Owner.UID != svc.Metadata.UID:
		s.complain("task %s belongs to an earlier service %s", t.Metadata.Name, t.Spec.Service)
	case asJSON(t.Spec.TaskTemplate) != asJSON(svc.Spec.TaskTemplate):
		s.complain("task %s has an old template", t.Metadata.Name)
	case t.Status.Phase != v1.TaskRunning || !t.Status.Ready || t.Status.PID == 0:
		s.complain("task %s does not run: %s", t.Metadata.Name, asJSON(t.Status))
	}
}

// answer is what the server in a task says of itself.
type answer struct {
	Task, Service, Node string
	Count               int64
	Env                 []string
}

// ask talks to the server in a task and notes what tells its process from another.
func (s *sight) ask(ctx context.Context, n *node, t *v1.Task) {
	name := t.Metadata.Name
	got, err := n.get(ctx, t.Status.Address)
	if err != nil {
		s.complain("task %s does not answer: %v", name, err)
		return
	}
	version := versionName + "=" + t.Spec.Env[0].Value
	if got.Task != name || got.Service != t.Spec.Service || got.Node != "n1" || !slices.Contains(got.Env, version) {
		s.complain("at the address of task %s of %s answers %s", name, version, asJSON(got))
		return
	}
	process, err := processOf(t.Status.PID)
	if err != nil {
		s.complain("task %s: %v", name, err)
	}
	s.tasks[name] = seen{uid: t.Metadata.UID, service: t.Spec.Service, slot: t.Spec.Slot, process: process,
		restarts: t.Status.Restarts, count: got.Count}
}

// get asks from inside the host's network namespace.
func (n *node) get(ctx context.Context, address string) (got answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = n.host.Do(func() error { c, err = new(net.Dialer).DialContext(ctx, network, addr); return err })
		return c, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "8080")+"/?format=json", nil)
	if err != nil {
		return got, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	return got, json.NewDecoder(response.Body).Decode(&got)
}

// processOf is a pid with the time at which it started: the same again only for the same process.
func processOf(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fmt.Sprintf("%d since %s", pid, fields[19]), nil
}
