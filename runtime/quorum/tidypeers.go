package quorum

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"warren.io/warren/runtime/store"
)

// tidyPatience is how long another member may take to give its unused pages back: a large database on a slow card.
const tidyPatience = 2 * time.Minute

// serveTidy gives this member's unused pages back to its disk. Only the leader asks for it, one member at a time: meanwhile
// a member cannot commit, and all but one must go on.
func (q *Quorum) serveTidy(w http.ResponseWriter, _ *http.Request) {
	if err := q.defragment(); err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
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
func (q *Quorum) tidyOthers(ctx context.Context) {
	for _, m := range q.known() {
		if m.ID == uint64(q.server.MemberID()) || q.caller == nil {
			continue
		}
		if err := q.askTidy(ctx, m); err != nil {
			q.log.Info("Another manager could not make room", "name", m.Name, "cause", err.Error())
		}
	}
}

func (q *Quorum) askTidy(ctx context.Context, m Member) error {
	ctx, cancel := context.WithTimeout(ctx, tidyPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL+"/tidy", nil)
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
