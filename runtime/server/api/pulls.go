package api

import "warren.io/warren/runtime/host"

// ToPulls makes a list of pulls for the wire.
func ToPulls(list []host.Pull) *WatchPullsResponse {
	out := &WatchPullsResponse{}
	for _, p := range list {
		m := &Pull{Name: utf8(p.Name), Phase: string(p.Phase), Done: p.Done, Total: p.Total, Rate: p.Rate, StartedNanos: nanos(p.Started)}
		for _, r := range p.Refs {
			m.Refs = append(m.Refs, utf8(r))
		}
		out.Pulls = append(out.Pulls, m)
	}
	return out
}

// Host is the inverse of ToPulls.
func (r *WatchPullsResponse) Host() []host.Pull {
	out := []host.Pull{}
	for _, m := range r.GetPulls() {
		out = append(out, host.Pull{Name: m.GetName(), Refs: m.GetRefs(), Phase: host.PullPhase(m.GetPhase()), Done: m.GetDone(), Total: m.GetTotal(),
			Rate: m.GetRate(), Started: timeOf(m.GetStartedNanos())})
	}
	return out
}
