package quorum

import (
	"fmt"
	"net/http"
	"time"

	"warren.io/warren/runtime/store"
)

// warnAt is the part of the quota, in per cent, from which Health warns.
const warnAt = 80

// Health is the state of the member, read from memory and one statfs; nothing is written.
type Health struct {
	HasLeader bool
	Leader    bool  // this member leads
	Size      int64 // bytes of the database file
	Used      int64 // of those, in use
	Quota     int64
	Free      int64 // bytes left on the file system
	Revision  store.Revision
	// Voters is how many managers vote. Age is for how long there has been no leader: what Local says is as old as that.
	Voters int
	Age    time.Duration
	// Err says why commits are not taken, or is nil.
	Err error
	// Warnings say what will lead to that if nothing is done.
	Warnings []string
}

// Health tells how the member is.
func (q *Quorum) Health() Health {
	h := Health{Quota: q.config.Quota, Err: q.Err()}
	h.Free, _, _ = q.free()
	if h.Err != nil {
		return h
	}
	lead := q.server.Leader()
	h.HasLeader, h.Leader = lead != 0, lead == q.server.MemberID()
	h.Size, h.Used = q.server.Backend().Size(), q.server.Backend().SizeInUse()
	h.Revision = q.server.KV().Rev()
	h.Voters, _ = votes(q.known())
	if q.pulse != nil {
		h.Age = q.pulse.age()
	}
	h.Err = q.refuses(h)
	h.Warnings = q.warnings(h)
	return h
}

func (q *Quorum) refuses(h Health) error {
	switch {
	case !h.HasLeader:
		if q.pulse != nil {
			if _, why, _ := q.pulse.look(); why != nil {
				return why
			}
		}
		return fmt.Errorf("%w: there is no leader", store.ErrUnavailable)
	case q.alarmed():
		return fmt.Errorf("%w: the database has reached its limit of %d MiB; delete what is not needed", store.ErrNoSpace, h.Quota>>20)
	}
	return q.room(q.config.MinFree)
}

func (q *Quorum) warnings(h Health) []string {
	var out []string
	if h.Used*100 >= h.Quota*warnAt {
		out = append(out, fmt.Sprintf("the database is %d %% full: %d of %d MiB", h.Used*100/h.Quota, h.Used>>20, h.Quota>>20))
	}
	if h.Free < 4*q.config.MinFree {
		out = append(out, fmt.Sprintf("the disk is nearly full: %d MiB are free at %s; below %d MiB commits are refused",
			h.Free>>20, q.config.DataDir, q.config.MinFree>>20))
	}
	if h.Voters%2 == 0 && h.Voters > 0 {
		out = append(out, fmt.Sprintf("%d managers vote: no more of them may fail than of %d, and any of them can; add one, or remove one",
			h.Voters, h.Voters-1))
	}
	return append(out, q.proxied()...)
}

// proxied warns where the environment would send what etcd says to the other managers through a proxy.
func (q *Quorum) proxied() (out []string) {
	if !q.config.Peer.set() {
		return nil
	}
	for _, m := range q.known() {
		req, err := http.NewRequest(http.MethodGet, m.URL, nil)
		if err != nil || m.ID == uint64(q.server.MemberID()) {
			continue
		}
		if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
			out = append(out, fmt.Sprintf("manager %s is called through the proxy %s; name %s in NO_PROXY", m.Name, proxy.Redacted(), req.URL.Hostname()))
		}
	}
	return out
}
