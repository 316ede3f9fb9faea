package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"

	"warren.io/warren/runtime/audit"
	"warren.io/warren/runtime/quorum"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
	"warren.io/warren/runtime/why"
)

// openAudit begins the record of who changed what, beside the store.
func (n *node) openAudit() {
	l := audit.Open(filepath.Join(n.dataDir, "audit"), n.log.WithName("audit"), n.metrics.auditLost.Inc)
	n.audit.Store(l)
}

// noted takes what somebody did into the record.
func (n *node) noted(d why.Deed) {
	if l := n.audit.Load(); l != nil {
		l.Append(audit.Entry{Time: d.At.UTC(), Author: d.Author, Revision: int64(d.Revision), Verb: d.Verb, Key: d.Key.String(), Fields: d.Fields})
	}
}

// readAudit answers the API.
func (n *node) readAudit(ctx context.Context, q server.AuditQuery, emit func(server.Change) error) error {
	var others []quorum.Member
	if server.ForNode(ctx) != n.id.Name {
		others = slices.DeleteFunc(n.known(), func(m quorum.Member) bool { return m.Name == n.id.Name })
	}
	switch {
	case len(others) == 0:
		return n.readOwnAudit(ctx, q, emit)
	case q.Follow:
		return n.followAudits(ctx, q, others, emit)
	}
	return n.readAudits(ctx, q, others, emit)
}

func (n *node) readOwnAudit(ctx context.Context, q server.AuditQuery, emit func(server.Change) error) error {
	l := n.audit.Load()
	if l == nil {
		return store.ErrUnavailable
	}
	return l.Read(ctx, audit.Query(q), func(e audit.Entry) error { return emit(server.Change(e)) })
}

// readAudits puts together what was changed through any manager, in the order of the changes.
func (n *node) readAudits(ctx context.Context, q server.AuditQuery, others []quorum.Member, emit func(server.Change) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	logs := []*stretch{newStretch(ctx, func(take func(server.Change) error) { failed = n.readOwnAudit(ctx, q, take) })}
	for _, m := range others {
		logs = append(logs, newStretch(ctx, func(take func(server.Change) error) { n.auditMissing(m, n.auditAt(ctx, m, q, take)) }))
	}
	var tail []server.Change
	for {
		var first *stretch
		for _, l := range logs {
			if l.ok && (first == nil || l.at < first.at) {
				first = l
			}
		}
		switch {
		case first == nil:
			return errors.Join(failed, each(tail, emit))
		case q.Tail > 0:
			if tail = append(tail, first.head); len(tail) > q.Tail {
				tail = tail[1:]
			}
		default:
			if err := emit(first.head); err != nil {
				return err
			}
		}
		first.next()
	}
}

func each(all []server.Change, emit func(server.Change) error) error {
	for _, c := range all {
		if err := emit(c); err != nil {
			return err
		}
	}
	return nil
}

// stretch is one manager's log, of which the next change is known.
type stretch struct {
	more chan server.Change
	head server.Change
	ok   bool
	at   int64 // the revision of head, or where that is not known, of the change before
}

func newStretch(ctx context.Context, read func(take func(server.Change) error)) *stretch {
	s := &stretch{more: make(chan server.Change)}
	go func() {
		defer close(s.more)
		read(func(c server.Change) error {
			select {
			case s.more <- c:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	s.next()
	return s
}

func (s *stretch) next() {
	s.head, s.ok = <-s.more
	s.at = max(s.at, s.head.Revision)
}

// followAudits passes on what any manager tells, as it comes.
func (n *node) followAudits(ctx context.Context, q server.AuditQuery, others []quorum.Member, emit func(server.Change) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var one sync.Mutex
	each := func(c server.Change) error {
		one.Lock()
		defer one.Unlock()
		return emit(c)
	}
	var work sync.WaitGroup
	defer work.Wait()
	for _, m := range others {
		work.Go(func() { n.auditMissing(m, n.auditAt(ctx, m, q, each)) })
	}
	defer cancel()
	return n.readOwnAudit(ctx, q, each)
}

func (n *node) auditAt(ctx context.Context, m quorum.Member, q server.AuditQuery, emit func(server.Change) error) error {
	s, err := n.office.dial(addressOf(m))
	if err != nil {
		return err
	}
	return s.Audit(grpcstore.ForNode(ctx, m.Name), grpcstore.AuditQuery(q), func(c grpcstore.Change) error { return emit(server.Change(c)) })
}

func (n *node) auditMissing(m quorum.Member, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.log.Info("what was changed through another manager cannot be told", "manager", m.Name, "cause", err.Error())
	}
}

// closeAudit writes what is left. Nobody commits any more.
func (n *node) closeAudit() error {
	if l := n.audit.Swap(nil); l != nil {
		return l.Close()
	}
	return nil
}
