package quorum

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

const (
	childDir     = "WARREN_QUORUM_CHILD"
	childWriters = 4
)

// TestMain turns this test binary into a member that writes until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		wal.SegmentSizeBytes = 128 << 10 // so that segments end often
		if err := writeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if text := os.Getenv(childMember); text != "" {
		if err := runMember(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever counts up one object for each writer, and says after each commit how far it came: "w2 17".
func writeForever(dir string) error {
	q, err := Start(context.Background(), Config{DataDir: dir, Kinds: v1.Kinds, Log: logr.Discard()})
	if err != nil {
		return err
	}
	fmt.Println("ready 0")
	var all sync.WaitGroup
	failed := make(chan error, childWriters)
	for i := range childWriters {
		all.Go(func() { failed <- count(q.Store(), fmt.Sprintf("w%d", i)) })
	}
	return <-failed
}

func count(s store.Store, name string) error {
	ctx := context.Background()
	o, err := s.Get(ctx, meta.Key{Kind: "Service", Name: name})
	if err != nil {
		o = service(name)
	}
	c := o.Clone().(*v1.Service)
	for {
		c.Status.Count++
		rev, err := s.Commit(ctx, store.UpdateOp(c))
		if err != nil {
			return err
		}
		c.Metadata.Revision = rev
		fmt.Printf("%s %d\n", name, c.Status.Count)
	}
}

// TestKill: a member that is killed at any moment, also of its first start, loses nothing that it acknowledged.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("WARREN_KILL_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	t.Logf("WARREN_KILL_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	acked := map[string]int64{}
	for round := range 20 {
		fresh := round < 5
		if fresh {
			dir, acked = t.TempDir(), map[string]int64{}
		}
		early := fresh || round%2 == 0
		killDuring(t, dir, early, time.Duration(random.IntN(80))*time.Millisecond, acked)
		verify(t, dir, acked)
	}
	t.Logf("acknowledged and found again: %v", acked)
}

// killDuring runs a member, kills it a while after its start or after it is ready, and notes what it acknowledged.
func killDuring(t *testing.T, dir string, early bool, after time.Duration, acked map[string]int64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childDir+"="+dir)
	var complaint bytes.Buffer
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { child.Process.Kill() })
	defer kill()
	if early {
		time.AfterFunc(after, kill)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var name string
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "%s %d", &name, &n); err != nil {
			continue
		}
		if name == "ready" && !early {
			time.AfterFunc(after, kill)
		}
		acked[name] = n
	}
	kill()
	child.Wait() // its error is the kill
	if complaint.Len() > 0 {
		t.Fatalf("the member complained: %s", complaint.String())
	}
}

func verify(t *testing.T, dir string, acked map[string]int64) {
	t.Helper()
	q, err := open(t, Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for i := range childWriters {
		name := fmt.Sprintf("w%d", i)
		o, err := q.Store().Get(t.Context(), service(name).Key())
		var have int64
		if err == nil {
			have = o.(*v1.Service).Status.Count
		}
		// One more than acknowledged may be there: the answer was lost, not the commit.
		if have < acked[name] || have > acked[name]+1 {
			t.Fatalf("%s is at %d (%v), acknowledged was %d", name, have, err, acked[name])
		}
		acked[name] = have
	}
}
