package journal

import (
	"context"
	"time"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Times of the disk: changes of a moment are written together; a write that failed is tried again.
const (
	gather = 200 * time.Millisecond
	again  = 10 * time.Second
)

// keepAll writes what changed, until ctx ends and all is written.
func (s *Store) keepAll(ctx context.Context) {
	for failed := false; ; {
		var retry <-chan time.Time
		if failed {
			retry = time.After(again)
		}
		select {
		case <-s.down:
			pause(ctx, gather)
		case <-retry:
		case <-ctx.Done():
			_ = s.keep()
			return
		}
		err := s.keep()
		if err != nil && !failed {
			s.config.Log.Error(err, "journal cannot be written; a restart without managers would go back to what was written before", "dir", s.config.Dir)
		}
		s.mu.Lock()
		s.behind = err
		s.mu.Unlock()
		failed = err != nil
	}
}

func (s *Store) keep() error {
	changed, seen := s.keyed()
	now := make(map[meta.Key]*record, len(changed))
	for key, e := range changed {
		r, err := recordOf(e)
		if err != nil {
			return err
		}
		now[key] = r
	}
	return s.write(now, seen)
}

func (s *Store) write(now map[meta.Key]*record, seen store.Revision) error {
	began := time.Now()
	n, err := s.file.write(now, seen, began)
	if n > 0 && err == nil {
		s.config.Log.V(1).Info("journal is written", "objects", len(now), "bytes", n, "took", time.Since(began).String())
	}
	return err
}

// recordOf is what is kept of an entry, nil for none.
func recordOf(e *entry) (*record, error) {
	if e == nil {
		return nil, nil
	}
	r := &record{Mine: e.mine, Gone: e.gone}
	if e.base == nil {
		return r, nil
	}
	var err error
	r.Base, err = docOf(e.base)
	return r, err
}
