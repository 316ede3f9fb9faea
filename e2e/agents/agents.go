// Package agents runs many agents in one process, for tests of scale: the real controllers and engine, each with its own key
// over the real API with mTLS, on machines that are there in memory only. They join by a token and take no tasks.
package agents

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/controllers/agent/images"
	agentnode "warren.io/warren/controllers/agent/node"
	"warren.io/warren/controllers/agent/tasks"
	"warren.io/warren/controllers/events"
	"warren.io/warren/e2e/hosts"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host/fake"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/store/grpcstore"
)

// Swarm is a number of agents that run.
type Swarm struct {
	Names  []string
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// Start joins so many agents by a token of as many uses, evenly spread over the managers at these addresses, and runs them
// until Stop. They are on a host of the bench; their keys are kept below dir.
func Start(ctx context.Context, at *hosts.Host, dir, token string, count int, managers ...string) (*Swarm, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Swarm{cancel: cancel}
	for i := range count {
		name := fmt.Sprintf("agent%03d", i)
		a := agent{name: name, host: at, dir: filepath.Join(dir, name), manager: managers[i%len(managers)]}
		if err := a.join(ctx, token); err != nil {
			return nil, errors.Join(fmt.Errorf("join %s: %w", name, err), s.Stop())
		}
		s.Names = append(s.Names, name)
		s.all.Go(func() { a.run(ctx) })
	}
	return s, nil
}

// Stop ends all agents.
func (s *Swarm) Stop() error {
	s.cancel()
	s.all.Wait()
	return nil
}

type agent struct {
	name, dir, manager string
	host               *hosts.Host
	cluster            string
	store              *grpcstore.Store
}

func (a *agent) dial(ctx context.Context) (c net.Conn, err error) {
	err = a.host.Do(func() (err error) { c, err = new(net.Dialer).DialContext(ctx, "tcp", a.manager); return err })
	return c, err
}

func (a *agent) join(ctx context.Context, text string) error {
	token, err := identity.ParseToken(text)
	if err != nil {
		return err
	}
	applicant, err := identity.Apply(a.name, token.Pin)
	if err != nil {
		return err
	}
	csr, err := applicant.Request()
	if err != nil {
		return err
	}
	s, err := grpcstore.Dial(a.manager, grpcstore.Options{TLS: applicant.TLS(), Dial: a.dial})
	if err != nil {
		return err
	}
	defer s.Close()
	joined, err := s.Join(ctx, grpcstore.Joining{Token: text, Name: a.name, CSR: csr})
	if err != nil {
		return err
	}
	if err := applicant.Save(a.dir, joined.Certificate, joined.Authority); err != nil {
		return err
	}
	keys, err := identity.OpenNode(a.dir)
	if err != nil {
		return err
	}
	a.cluster = joined.Cluster
	a.store, err = grpcstore.Dial(a.manager, grpcstore.Options{TLS: keys.TLS(), Dial: a.dial})
	return err
}

func (a *agent) run(ctx context.Context) {
	defer a.store.Close()
	pace := make(chan time.Duration, 1)
	engine := &control.Engine{Name: "agent", Store: a.store, Kinds: v1.Kinds, Log: logr.Discard(), Record: events.Record, Controllers: a.controllers(pace)}
	var all sync.WaitGroup
	all.Go(func() { _ = engine.Run(ctx) })
	every := v1.DefaultHeartbeat
	for ctx.Err() == nil {
		_ = a.store.Heartbeat(ctx, &every, pace, func([]string) {})
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	all.Wait()
}

func (a *agent) controllers(pace chan time.Duration) []control.Controller {
	machine := fake.New(time.Now)
	setPace := func(d time.Duration) {
		select {
		case <-pace: // one that was not taken yet is of no use any more
		default:
		}
		pace <- d
	}
	return []control.Controller{
		agentnode.Controller{Node: a.name, Cluster: a.cluster, Machine: machine, Network: machine, Role: v1.RoleWorker, Wish: func(v1.Role) {}, Pace: setPace},
		tasks.Controller{Node: a.name, Cluster: a.cluster, Host: machine},
		images.Controller{Cluster: a.cluster, Host: machine},
	}
}
