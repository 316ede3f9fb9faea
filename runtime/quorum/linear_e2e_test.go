//go:build e2e

package quorum

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	linearClients = 6
	linearKeys    = 3
	// linearWindow is how long a key is used: what nobody knows the outcome of stays possible for the whole history of its
	// key, so histories are kept short.
	linearWindow = 5 * time.Second
)

// register is one operation on one key: a put of a value that nobody else puts, or a get.
type register struct {
	key   string
	put   bool
	value int64
}

var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) (out [][]porcupine.Operation) {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(register).key
			byKey[k] = append(byKey[k], o)
		}
		for _, h := range byKey {
			out = append(out, h)
		}
		return out
	},
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(register); in.put {
			return true, in.value
		}
		return state == output, state
	},
}

// history is what all clients did and saw.
type history struct {
	mu      sync.Mutex
	began   time.Time
	ops     []porcupine.Operation
	unknown int
	refused int
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

// forever is when an operation returned whose outcome nobody knows.
const forever = int64(1) << 60

func (h *history) do(client int, r *remote, in register, wait time.Duration) {
	call := h.now()
	var a answer
	if in.put {
		a = r.askFor(wait, "put", "name", in.key, "value", strconv.FormatInt(in.value, 10))
	} else {
		a = r.askFor(wait, "get", "name", in.key)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: a.Value, Return: h.now()}
	switch {
	case a.Err == "":
	case in.put && a.Class == "unknown":
		h.unknown++
		op.Return = forever
	default: // a read without an answer says nothing; a refused write must not have happened
		h.refused++
		return
	}
	h.ops = append(h.ops, op)
}

// Clients write and read through all members while members are killed, paused and cut off, the leader above all; every read
// saw the newest acknowledged write. WARREN_LINEAR says for how long, default 1m; WARREN_LINEAR_SEED repeats the faults.
func TestLinearizability(t *testing.T) {
	length, seed := time.Minute, uint64(time.Now().UnixNano())
	if os.Getenv("CI") != "" {
		length = 5 * time.Minute
	}
	if d, err := time.ParseDuration(os.Getenv("WARREN_LINEAR")); err == nil {
		length = d
	}
	if n, err := strconv.ParseUint(os.Getenv("WARREN_LINEAR_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("WARREN_LINEAR_SEED=%d", seed)
	all := processes(t, 3)
	h := &history{began: time.Now()}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range linearClients {
		clients.Go(func() { operate(h, i, all, rand.New(rand.NewPCG(seed, uint64(i))), stop) })
	}
	faults := disturb(t, all, rand.New(rand.NewPCG(seed, 1<<32)), h.began.Add(length))
	close(stop)
	clients.Wait()
	finalReads(t, h, all)
	t.Logf("%d operations, %d of them with an unknown outcome, %d refused; faults %v", len(h.ops), h.unknown, h.refused, faults)
	if len(h.ops) < 100 {
		t.Fatal("too few operations got through")
	}
	for key, part := range partsOf(h.ops) {
		switch porcupine.CheckOperationsTimeout(registers, part, time.Minute) {
		case porcupine.Illegal:
			t.Errorf("%s is not linearizable: %+v", key, part)
		case porcupine.Unknown:
			t.Errorf("%s: the check took too long", key)
		}
	}
}

func partsOf(ops []porcupine.Operation) map[string][]porcupine.Operation {
	out := map[string][]porcupine.Operation{}
	for _, o := range ops {
		k := o.Input.(register).key
		out[k] = append(out[k], o)
	}
	return out
}

var valueCount = struct {
	sync.Mutex
	n int64
}{}

func nextValue() int64 {
	valueCount.Lock()
	defer valueCount.Unlock()
	valueCount.n++
	return valueCount.n
}

func keyAt(h *history, i int) string {
	return fmt.Sprintf("r%d-%d", time.Since(h.began)/linearWindow, i)
}

func operate(h *history, client int, all []*remote, random *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		in := register{key: keyAt(h, random.IntN(linearKeys)), put: random.IntN(3) == 0}
		if in.put {
			in.value = nextValue()
		}
		h.do(client, all[random.IntN(len(all))], in, 3*time.Second)
		time.Sleep(time.Duration(5+random.IntN(15)) * time.Millisecond) // the pace of the load, nothing is waited for
	}
}

// disturb makes one fault after the other, and heals each.
func disturb(t *testing.T, all []*remote, random *rand.Rand, until time.Time) map[string]int {
	t.Helper()
	done := map[string]int{}
	for time.Now().Before(until) {
		victim := all[random.IntN(len(all))]
		if random.IntN(3) > 0 {
			victim = ruler(t, all)
		}
		last := time.Duration(500+random.IntN(3000)) * time.Millisecond
		switch random.IntN(4) {
		case 0:
			done["kill"]++
			victim.kill()
			time.Sleep(last)
			victim.start()
		case 1:
			done["pause"]++
			victim.signal(syscall.SIGSTOP)
			time.Sleep(last)
			victim.signal(syscall.SIGCONT)
		case 2:
			done["cut"]++
			cut(t, all, victim)
			time.Sleep(last)
			cut(t, all, nil)
		case 3:
			done["restart of all"]++
			for _, r := range all {
				r.kill()
			}
			for _, i := range random.Perm(len(all)) {
				all[i].start()
			}
		}
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
	}
	return done
}

// finalReads sees what became of everything, at each member.
func finalReads(t *testing.T, h *history, all []*remote) {
	t.Helper()
	ruler(t, all)
	for key := range partsOf(h.ops) {
		for i, r := range all {
			eventually(t, "an answer", func() bool { return r.ask("get", "name", key).Err == "" })
			h.do(linearClients+i, r, register{key: key}, 20*time.Second)
		}
	}
}
