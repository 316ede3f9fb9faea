package api

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative debug.proto

// Report is one part of what a node tells about its own process.
type Report struct {
	Name string // of a file
	Data []byte
	Err  string // why it, or the rest of it, cannot be had
}

// ToReports cuts a report into messages.
func ToReports(r Report) []*ReportsResponse {
	var out []*ReportsResponse
	for len(r.Data) > Part {
		out = append(out, &ReportsResponse{Name: utf8(r.Name), Data: r.Data[:Part]})
		r.Data = r.Data[Part:]
	}
	return append(out, &ReportsResponse{Name: utf8(r.Name), Data: r.Data, Error: utf8(r.Err)})
}

// Report is the inverse of ToReports, piece by piece.
func (r *ReportsResponse) Report() Report {
	return Report{Name: r.GetName(), Data: r.GetData(), Err: r.GetError()}
}
