package quorum

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"warren.io/warren/runtime/store"
)

// tidyPatience is how long another member may take to give its unused pages back: a large database on a slow card.
const tidyPatience = 2 * time.Minute

// serveTidy gives this member's unused pages back to its disk. Only the leader asks for it, one member at a time: meanwhile
// a member cannot commit, and all but one must go on.
func (q *Quorum) serveTidy(w http.ResponseWriter, r *http.Request) {
	rev, _ := strconv.ParseInt(r.URL.Query().Get("rev"), 10, 64)
	q.awaitForgotten(r.Context(), rev)
	if err := q.defragment(); err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
	}
}

// forgetPatience is how long a member waits for the end of its own compaction before it writes its database anew: the entry that
// says so comes to it later than to the leader, and removes in the background.
const forgetPatience = 5 * time.Second

func (q *Quorum) awaitForgotten(ctx context.Context, rev store.Revision) {
	ctx, cancel := context.WithTimeout(ctx, forgetPatience)
	defer cancel()
	for ctx.Err() == nil && q.Err() == nil {
		q.server.Backend().ForceCommit()
		if q.server.KV().FirstRev() >= rev && q.server.Backend().SizeInUse() < q.server.Backend().Size()/2 {
			return
		}
		q.pause(ctx, retry/4)
	}
}

// defragment writes the database anew without its unused pages.
func (q *Quorum) defragment() error {
	q.server.Backend().ForceCommit()
	used := q.server.Backend().SizeInUse()
	if err := q.room(used + q.config.MinFree); err != nil { // it is written anew beside the old one
		return err
	}
	return q.server.Defragment()
}

// tidyOthers lets all other members do that, one after the other. One that is away is left out: when it is back and has no
// room it says so by an alarm.
func (q *Quorum) tidyOthers(ctx context.Context, rev store.Revision) {
	for _, m := range q.known() {
		if m.ID == uint64(q.server.MemberID()) || q.caller == nil {
			continue
		}
		if err := q.askTidy(ctx, m, rev); err != nil {
			q.log.Info("Another manager could not make room", "name", m.Name, "cause", err.Error())
		}
	}
}

func (q *Quorum) askTidy(ctx context.Context, m Member, rev store.Revision) error {
	ctx, cancel := context.WithTimeout(ctx, tidyPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/tidy?rev=%d", m.URL, rev), nil)
	if err != nil {
		return err
	}
	resp, err := q.caller.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("%w: %s", store.ErrUnavailable, why)
	}
	return nil
}
