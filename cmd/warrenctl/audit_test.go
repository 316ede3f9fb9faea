package warrenctl

import (
	"context"
	"time"

	"warren.io/warren/runtime/server"
)

// someAudit is what three people did.
func someAudit(ctx context.Context, q server.AuditQuery, emit func(server.Change) error) error {
	all := []server.Change{
		{Time: noon.Add(-time.Hour), Author: "user root", Revision: 7, Verb: "created", Key: "Service/web"},
		{Time: noon.Add(-time.Minute), Author: "key anna", Revision: 9, Verb: "changed", Key: "Service/web", Fields: []string{"spec.env[PASSWORD]", "spec.replicas"}},
		{Time: noon, Author: "manifests /etc/warren", Verb: "deleted", Key: "Task/web-1-1"},
	}
	if q.Key != "" {
		kept := all[:0]
		for _, c := range all {
			if c.Key == q.Key {
				kept = append(kept, c)
			}
		}
		all = kept
	}
	if q.Tail >= 0 {
		all = all[max(0, len(all)-q.Tail):]
	}
	for _, c := range all {
		if err := emit(c); err != nil {
			return err
		}
	}
	if q.Follow {
		<-ctx.Done()
	}
	return nil
}
