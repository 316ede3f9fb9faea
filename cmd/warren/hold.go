package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
)

// held are the tasks on this machine that a recovered store does not know. They may be what somebody needs most: they were started
// after the backup. So they go on as they are until the operator has said otherwise.
type held struct {
	mu    sync.Mutex
	names []string
}

func (h *held) checks() []server.Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.names) == 0 {
		return nil
	}
	return []server.Check{{Name: "recovered", OK: true, Message: "warning: " + heldMessage(h.names)}}
}

func heldMessage(names []string) string {
	return fmt.Sprintf("tasks run here that the recovered store does not know: %s; to stop them: warren stop, warren recover --stop-unknown, warren run",
		strings.Join(names, ", "))
}

// tasks is the host as the agent sees it.
func (n *node) tasks(ctx context.Context) host.Tasks {
	if !n.id.Hold {
		return n.host
	}
	return &holding{Tasks: n.host, known: n.knows, told: func(names []string) { n.tellHeld(ctx, names) }, over: n.endHold}
}

// knows tells whether a task is in the store, be it only to be deleted.
func (n *node) knows(ctx context.Context, s host.State) (bool, error) {
	o, err := n.quorum.Store().Get(ctx, meta.Key{Kind: "Task", Name: s.Name})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && o.Meta().UID == s.UID, err
}

func (n *node) tellHeld(ctx context.Context, names []string) {
	n.held.mu.Lock()
	n.held.names = names
	n.held.mu.Unlock()
	n.log.Info("tasks run here that the recovered store does not know; they are left alone", "tasks", names)
	n.tellOf(ctx, "recover", control.Note{About: clusterKey, Warning: true, Reason: "UnknownTasks", Message: heldMessage(names)})
}

// endHold forgets a recovery after which every task here was known.
func (n *node) endHold() error {
	n.id.Hold = false
	return n.id.save(n.dataDir)
}

// holding is a host that goes on with what it runs although nobody in the store knows of it.
type holding struct {
	host.Tasks
	known func(context.Context, host.State) (bool, error)
	told  func(names []string)
	over  func() error

	once  bool // there was something to hold
	ended bool
}

// Set implements host.Tasks.
func (h *holding) Set(ctx context.Context, want []host.Task) error {
	if h.ended {
		return h.Tasks.Set(ctx, want)
	}
	seen, err := h.Observe(ctx)
	if err != nil {
		return err
	}
	want, names, err := h.keep(ctx, want, seen)
	if err != nil {
		return err
	}
	switch {
	case !h.once && len(names) == 0:
		if err := h.over(); err != nil {
			return err
		}
		h.ended = true
	case !h.once:
		h.once = true
		h.told(names)
	}
	return h.Tasks.Set(ctx, want)
}

// keep adds what runs and is unknown. A wanted task of the same name, which a store that went back may come to want, has to wait.
func (h *holding) keep(ctx context.Context, want []host.Task, seen []host.State) (all []host.Task, names []string, err error) {
	for _, s := range seen {
		is := func(t host.Task) bool { return t.Name == s.Name }
		if i := slices.IndexFunc(want, is); s.Phase == host.Stopping || i >= 0 && want[i].UID == s.UID {
			continue
		}
		known, err := h.known(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		if known {
			continue
		}
		names = append(names, s.Name)
		want = append(slices.DeleteFunc(want, is), host.Task{Name: s.Name, UID: s.UID, Attempt: s.Attempt, Failures: s.Failures})
	}
	return want, names, nil
}
