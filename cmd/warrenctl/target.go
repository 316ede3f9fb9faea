package warrenctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// taskNamed reads TASK, task/NAME or service/NAME, of which it takes the first task that runs. A bare word that names no task may
// name a service.
func taskNamed(ctx context.Context, s *grpcstore.Store, word string) (string, error) {
	key, bare := meta.Key{Kind: v1.TaskKind.Name, Name: word}, !strings.Contains(word, "/")
	if !bare {
		var err error
		if key, err = keyOf(word); err != nil {
			return "", err
		}
	}
	if key.Kind != v1.TaskKind.Name && key.Kind != v1.ServiceKind.Name {
		return "", usagef("%s is neither a task nor a service", word)
	}
	_, err := s.Get(ctx, key)
	if bare && errors.Is(err, store.ErrNotFound) {
		service := meta.Key{Kind: v1.ServiceKind.Name, Name: word}
		if _, e := s.Get(ctx, service); e == nil {
			key, err = service, nil
		}
	}
	if err != nil {
		return "", about(key, err)
	}
	if key.Kind == v1.TaskKind.Name {
		return key.Name, nil
	}
	return runningOf(ctx, s, key.Name)
}

// runningOf is the first task of a service that runs; one that is ready before others.
func runningOf(ctx context.Context, s *grpcstore.Store, service string) (string, error) {
	all, _, err := s.Only(v1.TaskKind.Name).List(ctx)
	if err != nil {
		return "", err
	}
	var tasks []*v1.Task
	for _, o := range all {
		if t, ok := o.(*v1.Task); ok && t.Spec.Service == service && t.Status.PID != 0 {
			tasks = append(tasks, t)
		}
	}
	if len(tasks) == 0 {
		return "", try(fmt.Errorf("service %q has no task that runs", service), "warrenctl why service/%s", service)
	}
	return slices.MinFunc(tasks, func(a, b *v1.Task) int {
		if a.Status.Ready != b.Status.Ready {
			if a.Status.Ready {
				return -1
			}
			return 1
		}
		return a.Spec.Slot - b.Spec.Slot
	}).Metadata.Name, nil
}

// insideError says of a task that does not run how it stands, and the next step.
func insideError(ctx context.Context, s *grpcstore.Store, task string, err error) error {
	if !errors.Is(err, host.ErrNotRunning) && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	// One that runs by now is described by what happened.
	if o, e := s.Get(ctx, meta.Key{Kind: v1.TaskKind.Name, Name: task}); e == nil && !o.(*v1.Task).Status.Ready {
		err = fmt.Errorf("task %q does not run; it is %s", task, standing(o.(*v1.Task)))
	}
	return try(err, "warrenctl why task/%s", task)
}

// runs is nil for a task that has a process.
func runs(ctx context.Context, s *grpcstore.Store, task string) error {
	o, err := s.Get(ctx, meta.Key{Kind: v1.TaskKind.Name, Name: task})
	if err != nil || o.(*v1.Task).Status.PID != 0 {
		return err
	}
	return insideError(ctx, s, task, host.ErrNotRunning)
}

// whyOf is what tells why something is not as people want it.
func whyOf(key meta.Key) string {
	switch key.Kind {
	case v1.ServiceKind.Name, v1.TaskKind.Name, v1.NodeKind.Name:
		return "warrenctl why " + lower(key.Kind, key.Name)
	}
	return "warrenctl describe " + lower(key.Kind, key.Name)
}

// standing is how a task is, in a word and a sentence.
func standing(t *v1.Task) string {
	word, why := v1.TaskWord(t), v1.TaskWhy(t)
	if why == "" || why == word {
		return word
	}
	return clean(word + ": " + why)
}
