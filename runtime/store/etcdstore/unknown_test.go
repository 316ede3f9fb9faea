package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// Commits that are given up at random moments: nil means that it is there, ErrUnknown that it may be, everything else
// that it is not and never will be.
func TestGivenUpCommits(t *testing.T) {
	s := etcdstore.New(etcd(t), v1.Kinds, etcdstore.Options{})
	outcomes := map[string]error{}
	var done, unknown, refused int
	for i := range 400 {
		name := fmt.Sprintf("s%d", i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(600))*time.Microsecond)
		_, err := s.Commit(ctx, store.CreateOp(service(name)))
		cancel()
		outcomes[name] = err
		switch {
		case err == nil:
			done++
		case errors.Is(err, store.ErrUnknown):
			unknown++
		default:
			refused++
		}
	}
	t.Logf("%d done, %d unknown, %d refused", done, unknown, refused)
	commit(t, s, store.CreateOp(service("last"))) // after everything that is still on its way
	for name, err := range outcomes {
		_, missing := s.Get(t.Context(), service(name).Key())
		switch {
		case err == nil && missing != nil:
			t.Errorf("%s was acknowledged: %v", name, missing)
		case err != nil && !errors.Is(err, store.ErrUnknown) && missing == nil:
			t.Errorf("%s is there although its commit failed for certain: %v", name, err)
		}
	}
}
