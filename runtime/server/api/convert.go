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
		out[i] = &Image{Name: utf8(m.Name), Digest: utf8(m.Digest), Size: m.Size, CreatedNanos: nanos(m.Created),
			Pinned: m.Pinned, Status: utf8(m.Status)}
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
		out[i] = host.Image{Name: m.GetName(), Digest: m.GetDigest(), Size: m.GetSize(), Platforms: m.GetPlatforms(), Created: timeOf(m.GetCreatedNanos()),
			Pinned: m.GetPinned(), Status: m.GetStatus()}
	}
	return out
}

// ToLogOptions makes a request for logs.
func ToLogOptions(task string, o host.LogOptions) *LogsRequest {
	return &LogsRequest{Task: utf8(task), Follow: o.Follow, Tail: int64(o.Tail), SinceNanos: nanos(o.Since), Previous: o.Previous}
}

// Options is the inverse of ToLogOptions.
func (r *LogsRequest) Options() host.LogOptions {
	return host.LogOptions{Follow: r.GetFollow(), Tail: int(r.GetTail()), Since: timeOf(r.GetSinceNanos()), Previous: r.GetPrevious()}
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

// ToUsage makes an answer of Usage.
func ToUsage(u host.Usage) *UsageResponse {
	out := &UsageResponse{Node: utf8(u.Node), Nanos: nanos(u.Time), Total: toCounters(u.Total), Cores: int64(u.Cores), DiskSize: u.DiskSize, DiskUsed: u.DiskUsed}
	for _, t := range u.Tasks {
		out.Tasks = append(out.Tasks, &TaskUsage{Name: utf8(t.Name), Service: utf8(t.Service), Attempt: int64(t.Attempt), Counters: toCounters(t.Counters)})
	}
	return out
}

// Usage is the inverse of ToUsage.
func (r *UsageResponse) Usage() host.Usage {
	u := host.Usage{Node: r.GetNode(), Time: timeOf(r.GetNanos()), Total: r.GetTotal().counters(), Cores: int(r.GetCores()), DiskSize: r.GetDiskSize(), DiskUsed: r.GetDiskUsed()}
	for _, t := range r.GetTasks() {
		u.Tasks = append(u.Tasks, host.TaskUsage{Name: t.GetName(), Service: t.GetService(), Attempt: int(t.GetAttempt()), Counters: t.GetCounters().counters()})
	}
	return u
}

func toCounters(c host.Counters) *Counters {
	return &Counters{CpuNanos: int64(c.CPU), Memory: c.Memory, MemoryLimit: c.MemoryLimit, Received: c.Received, Sent: c.Sent, Read: c.Read, Written: c.Wrote, Pids: c.Pids}
}

func (c *Counters) counters() host.Counters {
	return host.Counters{CPU: time.Duration(c.GetCpuNanos()), Memory: c.GetMemory(), MemoryLimit: c.GetMemoryLimit(), Received: c.GetReceived(),
		Sent: c.GetSent(), Read: c.GetRead(), Wrote: c.GetWritten(), Pids: c.GetPids()}
}

// ToSize makes the size of a terminal for the wire.
func ToSize(s host.TerminalSize) *TerminalSize {
	return &TerminalSize{Width: s.Width, Height: s.Height}
}

// Host is the inverse of ToSize.
func (s *TerminalSize) Host() host.TerminalSize {
	return host.TerminalSize{Width: s.GetWidth(), Height: s.GetHeight()}
}
