package server

import (
	"google.golang.org/grpc"

	"warren.io/warren/runtime/server/api"
)

// AuditQuery and Change are what is asked and answered about who changed what.
type (
	AuditQuery = api.AuditQuery
	Change     = api.Change
)

// audits is the API's side for who changed what.
type audits struct {
	api.UnimplementedAuditServer
	*Server
}

// Read implements the API.
func (a audits) Read(r *api.AuditRequest, out grpc.ServerStreamingServer[api.AuditResponse]) error {
	if a.config.Audit == nil {
		return notServed("audit")
	}
	q := AuditQuery{Key: r.GetKey(), Tail: int(r.GetTail()), Follow: r.GetFollow()}
	return a.config.Audit(out.Context(), q, func(c Change) error { return out.Send(api.ToChange(c)) })
}
