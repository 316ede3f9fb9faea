package main

import (
	"context"
	"path/filepath"

	"warren.io/warren/runtime/audit"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
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
	l := n.audit.Load()
	if l == nil {
		return store.ErrUnavailable
	}
	return l.Read(ctx, audit.Query(q), func(e audit.Entry) error { return emit(server.Change(e)) })
}

// closeAudit writes what is left. Nobody commits any more.
func (n *node) closeAudit() error {
	if l := n.audit.Swap(nil); l != nil {
		return l.Close()
	}
	return nil
}
