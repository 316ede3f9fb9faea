package containerd

import (
	"testing"
	"time"
)

func TestOldest(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	image := func(digest string, used time.Duration, needed string) stored {
		return stored{digest: digest, used: ago(used), needed: needed}
	}
	for name, c := range map[string]struct {
		all    []stored
		victim string
		left   string
	}{
		"nothing":        {nil, "", "there is none"},
		"the oldest":     {[]stored{image("a", time.Hour, ""), image("b", 3*time.Hour, ""), image("c", 2*time.Hour, "")}, "b", "there is none"},
		"not what needs": {[]stored{image("a", 9*time.Hour, byTask), image("b", 8*time.Hour, byService), image("c", time.Hour, "")}, "c", "1 in use by tasks, 1 of services"},
		"not the young":  {[]stored{image("a", time.Minute, ""), image("b", time.Hour, byPin)}, "", "1 pinned, 1 used a moment ago"},
		"a wrong clock":  {[]stored{image("a", -time.Hour, ""), image("b", -time.Minute, "")}, "a", "1 used a moment ago"},
		"never used":     {[]stored{{digest: "a"}, image("b", time.Hour, "")}, "a", "there is none"},
	} {
		victim, left := oldest(c.all, now, 10*time.Minute)
		got := ""
		if victim != nil {
			got = victim.digest
		}
		if got != c.victim || left != c.left {
			t.Errorf("%s: %q %q", name, got, left)
		}
	}
}

func TestUse(t *testing.T) {
	u := use{used: 85, total: 100}
	if u.above(85) || !u.above(84) || (use{}).above(1) {
		t.Error("the mark itself is not above it")
	}
	if (use{used: 86 << 20, total: 100 << 20}).String() != "86% (86Mi)" {
		t.Error(u.String())
	}
	now, err := readUse("/")
	if err != nil || now.total == 0 || now.used > now.total {
		t.Errorf("%+v %v", now, err)
	}
}

func TestOurLabelsStay(t *testing.T) {
	got := withOurs(map[string]string{"x": "new", labelUsed: "now"}, map[string]string{"x": "old", "y": "old", labelPinned: "true", labelUsed: "then", labelKept: "true"})
	if len(got) != 3 || got["x"] != "new" || got[labelPinned] != "true" || got[labelUsed] != "now" {
		t.Errorf("%v", got)
	}
	if withOurs(nil, map[string]string{"y": "old"}) != nil {
		t.Error("labels out of nothing")
	}
}
