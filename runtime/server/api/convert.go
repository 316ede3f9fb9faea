package api

import (
	"time"

	"warren.io/warren/runtime/host"
)

// ToInfo makes an answer of Info.
func ToInfo(i Info) *InfoResponse {
	out := &InfoResponse{Version: utf8(i.Version), Node: utf8(i.Node), ClusterId: utf8(i.ClusterID), Revision: i.Revision, Leader: i.Leader}
	for _, c := range i.Ready {
		out.Ready = append(out.Ready, &ReadyCheck{Name: utf8(c.Name), Ok: c.OK, Message: utf8(c.Message)})
	}
	return out
}

// Info is the inverse of ToInfo.
func (r *InfoResponse) Info() Info {
	i := Info{Version: r.GetVersion(), Node: r.GetNode(), ClusterID: r.GetClusterId(), Revision: r.GetRevision(), Leader: r.GetLeader()}
	for _, c := range r.GetReady() {
		i.Ready = append(i.Ready, Check{Name: c.GetName(), OK: c.GetOk(), Message: c.GetMessage()})
	}
	return i
}

// ToImages makes a list of images for the wire.
func ToImages(list []host.Image) []*Image {
	out := make([]*Image, len(list))
	for i, m := range list {
		out[i] = &Image{Name: utf8(m.Name), Digest: utf8(m.Digest), Size: m.Size, CreatedNanos: nanos(m.Created)}
		for _, p := range m.Platforms {
			out[i].Platforms = append(out[i].Platforms, utf8(p))
		}
	}
	return out
}

// FromImages is the inverse of ToImages.
func FromImages(list []*Image) []host.Image {
	out := make([]host.Image, len(list))
	for i, m := range list {
		out[i] = host.Image{Name: m.GetName(), Digest: m.GetDigest(), Size: m.GetSize(), Platforms: m.GetPlatforms(), Created: timeOf(m.GetCreatedNanos())}
	}
	return out
}

// ToLogOptions makes a request for logs.
func ToLogOptions(task string, o host.LogOptions) *LogsRequest {
	return &LogsRequest{Task: utf8(task), Follow: o.Follow, Tail: int64(o.Tail), SinceNanos: nanos(o.Since)}
}

// Options is the inverse of ToLogOptions.
func (r *LogsRequest) Options() host.LogOptions {
	return host.LogOptions{Follow: r.GetFollow(), Tail: int(r.GetTail()), Since: timeOf(r.GetSinceNanos())}
}

// ToLogLine makes a line for the wire.
func ToLogLine(l host.LogLine) *LogLine {
	return &LogLine{Nanos: nanos(l.Time), Stream: utf8(l.Stream), Text: []byte(l.Text)}
}

// Line is the inverse of ToLogLine.
func (l *LogLine) Line() host.LogLine {
	return host.LogLine{Time: timeOf(l.GetNanos()), Stream: l.GetStream(), Text: string(l.GetText())}
}

// nanos is Unix time, with 0 for the zero time, which has none of its own.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
