package api

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative audit.proto

import (
	"encoding/json"
	"time"
)

// AuditQuery says which changes are wanted: of one object (Service/web) or all, the last Tail or, where that is negative, all.
type AuditQuery struct {
	Key    string
	Tail   int
	Follow bool
}

// Change is one change of one object by somebody. Revision is 0 where nobody knows whether it came to be.
type Change struct {
	Time     time.Time `json:"time"`
	Author   string    `json:"author"`
	Revision int64     `json:"revision"`
	Verb     string    `json:"verb"`
	Key      string    `json:"key"`
	Fields   []string  `json:"fields,omitempty"`
}

// ToChange puts a change on the wire.
func ToChange(c Change) *AuditResponse {
	data, err := json.Marshal(c)
	if err != nil {
		data = nil // plain data always encodes
	}
	return &AuditResponse{Json: data}
}

// Change is the inverse of ToChange. A change that cannot be read is empty.
func (r *AuditResponse) Change() (c Change) {
	if json.Unmarshal(r.GetJson(), &c) != nil {
		return Change{}
	}
	return c
}
