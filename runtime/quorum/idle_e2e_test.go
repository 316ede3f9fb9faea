//go:build e2e

package quorum

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"warren.io/warren/runtime/store"
)

// written is how many bytes this process has sent to block devices.
func written(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no write_bytes in /proc/self/io")
	return 0
}

// An idle leader with a large past and a watcher writes nothing to disk. WARREN_IDLE says for how long; default 1m.
func TestIdleWritesNothing(t *testing.T) {
	q := start(t, Config{DataDir: t.TempDir()})
	terms, _, _ := reigns(t, q)
	s := <-terms
	for i := range 10_000 {
		o := sized(fmt.Sprintf("s%d", i%500))
		commit(t, s, store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := s.Watch(ctx, q.Health().Revision)

	// Compaction and the storage version are settled some seconds after the last commit, old log segments are removed
	// every 30 seconds.
	last, since := written(t), time.Now()
	for range time.Tick(time.Second) {
		if now := written(t); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > 35*time.Second {
			break
		}
	}
	length := time.Minute
	if v, err := time.ParseDuration(os.Getenv("WARREN_IDLE")); err == nil {
		length = v
	}
	go func() {
		for b := range w {
			t.Errorf("somebody committed %+v", b)
		}
	}()
	idle(t, q, length)
}

// idle watches for so long that nothing is written. What a slow machine settles late may spoil two watches, but what is
// written again and again spoils all.
func idle(t *testing.T, q *Quorum, length time.Duration) {
	t.Helper()
	for again := range 3 {
		index, begin, cpu := q.server.AppliedIndex(), written(t), processorTime(t)
		time.Sleep(length) // idling is what is tested
		bytes, entries := written(t)-begin, q.server.AppliedIndex()-index
		t.Logf("%v idle: %d bytes written, %d log entries, %.2f %% of a processor", length,
			bytes, entries, 100*(processorTime(t)-cpu).Seconds()/length.Seconds())
		switch {
		case entries != 0:
			t.Fatalf("%d log entries were written in %v", entries, length)
		case bytes == 0:
			return
		case again == 2:
			t.Fatalf("%d bytes were written in %v, and before that too", bytes, length)
		}
	}
}

// Three idle members write nothing either; what they cost is told. WARREN_IDLE says for how long; default 20s.
func TestThreeIdleWriteNothing(t *testing.T) {
	c := newCluster(t, 3)
	c.put(c.nodes[0], "web")
	terms, _, _ := reigns(t, c.leader().Quorum)
	<-terms
	last, since := written(t), time.Now()
	for range time.Tick(time.Second) { // what was written last reaches the disk
		if now := written(t); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > 10*time.Second {
			break
		}
	}
	length := 20 * time.Second
	if v, err := time.ParseDuration(os.Getenv("WARREN_IDLE")); err == nil {
		length = v
	}
	idle(t, c.nodes[0].Quorum, length)
}

// A single member that may get others is ready for them all the time; what that costs is told.
func TestIdleAloneWithAnAddress(t *testing.T) {
	newCluster(t, 1)
	cpu := processorTime(t)
	length := 10 * time.Second
	time.Sleep(length) // idling is what is tested
	t.Logf("%.2f %% of a processor", 100*(processorTime(t)-cpu).Seconds()/length.Seconds())
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
