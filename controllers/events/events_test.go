package events

import (
	"fmt"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
	"warren.io/warren/runtime/store"
)

var web = meta.Key{Kind: "Service", Name: "web"}

// table makes a number of events; the first is the oldest.
func table(n int) []meta.Object {
	out := make([]meta.Object, n)
	for i := range n {
		s := v1.EventSpec{About: web, Reason: fmt.Sprintf("Reason%04d", i)}
		out[i] = s.Again(nil, "x", controltest.Start.Add(time.Duration(n-i)*-time.Second))
	}
	return out
}

func trim(t *testing.T, all []meta.Object) ([]store.Op, control.Result) {
	t.Helper()
	c := Controller{}.Contract()
	tx := control.NewTx(control.NewSnapshot(v1.Kinds, all, 1), &c, controltest.Start)
	res, err := Controller{}.Reconcile(t.Context(), tx, "")
	ops, broken := tx.Ops()
	if err != nil || broken != nil {
		t.Fatal(err, broken)
	}
	return ops, res
}

func TestTrim(t *testing.T) {
	for _, c := range []struct {
		have, drop int
		again      bool
	}{
		{0, 0, false}, {v1.MaxEvents, 0, false}, {v1.MaxEvents + 1, batch + 1, false}, {v1.MaxEvents + 90, 100, false}, {v1.MaxEvents + 500, 100, true},
	} {
		all := table(c.have)
		ops, res := trim(t, all)
		if len(ops) != c.drop || (res.After > 0) != c.again {
			t.Errorf("of %d events %d are dropped, again after %s; want %d", c.have, len(ops), res.After, c.drop)
		}
		for i, op := range ops {
			if op.Verb != store.Delete || op.Key != all[i].Key() {
				t.Fatalf("of %d events %s goes as number %d; the oldest is %s", c.have, op.Key, i, all[i].Key())
			}
		}
	}
}

// Only a new event is a reason to look at the table: counting one up is not.
func TestOnlyNewEventsMatter(t *testing.T) {
	in := Controller{}.Contract().Reads[0]
	e := table(1)[0]
	if len(in.Items(nil, e)) != 1 || len(in.Items(e, e)) != 0 || len(in.Items(e, nil)) != 0 {
		t.Error("the wrong changes lead to a run")
	}
}

func TestRecordCountsOn(t *testing.T) {
	there := map[meta.Key]meta.Object{}
	find := func(k meta.Key) (meta.Object, bool) { o, ok := there[k]; return o, ok }
	var e *v1.Event
	for i := range 3 {
		n := control.Note{About: web, Warning: true, Reason: "Broken", Message: fmt.Sprintf("message %d", i)}
		e = Record(find, "tester", n, controltest.Start.Add(time.Duration(i)*time.Minute)).(*v1.Event)
		there[e.Key()] = e
	}
	st := e.Status
	if len(there) != 1 || st.Count != 3 || st.Message != "message 2" || !st.First.Equal(controltest.Start) || !st.Last.Equal(controltest.Start.Add(2*time.Minute)) {
		t.Errorf("%d events; %+v", len(there), st)
	}
	if e.Spec.Type != v1.EventWarning || e.Spec.Source != "tester" || e.Spec.About != web {
		t.Errorf("%+v", e.Spec)
	}
}
