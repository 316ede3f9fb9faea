// Package quorum runs etcd inside this process and lends it out as a store.Store, plain or fenced by leadership.
//
// The member has no port and no socket: its only client is in this process, and a single member has no peers. Two nodes in
// one network namespace cannot clash. Several members speak through the server of their node: see PeerConfig and Handler.
// A member without an address (PeerConfig) costs nothing of what they need.
//
// Of several members a majority must be reachable for commits, and for reads through Store. Without it both fail soon with
// store.ErrUnavailable; Local goes on to answer with what this member has, and Health says since when that may be old.
//
// An idle member writes nothing to disk. Nothing in here uses leases or periodic compaction; history is compacted when
// enough of it has gathered, so only after writes. What etcd itself does periodically reads only.
//
// When the disk refuses a write that etcd needs, etcd ends the process. Here it ends only the member: Done is closed, Err
// says why (ErrBroken), commits fail with store.ErrUnavailable. The files of a broken member stay open until the process
// ends, so the way back is a new process; exec of itself is enough. To let it not come to that, commits are refused with
// store.ErrNoSpace while the file system of the data directory is nearly full; they work again as soon as it is not.
package quorum

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/etcdstore"
)

// Config says where and how a member runs.
type Config struct {
	DataDir string     // made if missing; belongs to the member alone
	Name    string     // of this member, usually the node's
	Kinds   meta.Kinds // of the resources in the store
	Log     logr.Logger
	// Expendable names kinds whose unreadable objects may be left out of lists; see etcdstore.
	Expendable []string
	// Quota is how large the database may grow. Default 256 MiB.
	Quota int64
	// History is how many revisions can be watched from the past, at least; up to twice as many are kept. Default 2000.
	History int64
	// MinFree is how many bytes must be free on the file system of DataDir for commits to be taken. Default 24 MiB.
	MinFree int64
	// Peer is set for a member that has others, or may get some.
	Peer PeerConfig
	// Done, if set, is told of every commit that ended: for metrics.
	Done func(store.Outcome)
}

// Defaults and limits.
const (
	defaultQuota   = 256 << 20
	defaultHistory = 2000
	defaultMinFree = 24 << 20
	closePatience  = 10 * time.Second
	brokenPatience = time.Second
)

// Why a member has ended. Use errors.Is.
var (
	ErrClosed = errors.New("quorum is closed")
	// ErrBroken means that etcd could not go on, and that only a new process can open its directory again.
	ErrBroken = errors.New("quorum is broken until this process is replaced")
	// ErrCorrupt means that the files of this member are damaged, or that it has other data than the others. While they have
	// a majority nothing is lost: Remove it, empty its directory, and let it Join again.
	ErrCorrupt = errors.New("the data of this manager is damaged")
)

// broken holds the directories whose files an ended member still holds open.
var broken sync.Map

// Quorum is a running member. Make one with Start.
type Quorum struct {
	config  Config
	log     logr.Logger
	lock    *os.File
	server  *etcdserver.EtcdServer
	client  *clientv3.Client
	store   *etcdstore.Store
	tidying sync.WaitGroup
	leading atomic.Bool
	tried   store.Revision // at which making room was last tried

	// Of a member with an address only.
	pulse     *pulse
	caller    *http.Client
	strangers sync.Map
	readied   chan struct{}

	end    sync.Once
	done   chan struct{}
	reason error // readable once done is closed
}

// Start runs the member in DataDir, as it was left, or a new one, of a cluster of its own. A member that is alone takes
// commits when Start returns. One of several runs then, and others can reach it through its Handler; it takes commits as soon
// as a majority runs, for which nobody waits here: see Ready.
// It fails with store.ErrNoSpace while the disk is full; nothing is left behind then, and it can be tried again.
func Start(ctx context.Context, config Config) (*Quorum, error) {
	q, err := newQuorum(config)
	if err == nil {
		err = q.prepare(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("start quorum in %s: %w", config.DataDir, err)
	}
	settings, err := q.settings()
	if err == nil {
		err = q.run(ctx, settings)
	}
	if err != nil {
		q.Close()
		return nil, fmt.Errorf("start quorum in %s: %w", config.DataDir, err)
	}
	return q, nil
}

func newQuorum(config Config) (*Quorum, error) {
	config.defaults()
	q := &Quorum{config: config, log: config.Log, done: make(chan struct{}), readied: make(chan struct{})}
	if !config.Peer.set() {
		return q, nil
	}
	err := config.Peer.check()
	if err == nil {
		q.caller, err = config.Peer.caller()
	}
	q.pulse = newPulse()
	return q, err
}

// run starts etcd and all that goes with it.
func (q *Quorum) run(ctx context.Context, settings config.ServerConfig) error {
	if err := q.shrink(); err != nil {
		return err
	}
	if err := q.boot(settings); err != nil {
		return err
	}
	alone, err := q.ready(ctx)
	switch {
	case err != nil:
		return err
	case !alone && !q.config.Peer.set():
		return errors.New("this manager is one of several and needs an address; run it with --listen and --advertise")
	}
	q.client = v3client.New(q.server)
	q.store = etcdstore.New(q.client, q.config.Kinds, etcdstore.Options{Down: q.down, Gate: q.gate, Attend: q.attend,
		Unreadable: q.unreadable, Expendable: q.config.Expendable, Done: q.config.Done})
	q.tidying.Go(q.tidy)
	if q.config.Peer.set() {
		q.tidying.Go(q.beats)
		q.tidying.Go(func() { q.settle(alone) })
	} else {
		close(q.readied)
	}
	return nil
}

// settle does what is left to do once a majority runs, and sees when the others remove this member.
func (q *Quorum) settle(alone bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var late sync.WaitGroup
	defer late.Wait()
	late.Go(func() {
		select {
		case <-q.server.StopNotify():
			q.stop(ErrRemoved)
		case <-q.done:
		}
		cancel()
	})
	if !alone {
		if !q.caughtUp(ctx) {
			return
		}
		if err := q.finish(); err != nil {
			q.log.Error(err, "Cannot note that the first start is finished")
			return
		}
	}
	close(q.readied)
	q.announce(ctx)
	q.promote(ctx)
}

// caughtUp waits until a majority has answered this member, and so it has everything up to then. etcd's own word for that
// comes up to seven seconds late when its message is lost because connections are still being made, so it is asked as well.
func (q *Quorum) caughtUp(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		for ctx.Err() == nil {
			attempt, end := context.WithTimeout(ctx, attemptPatience)
			_, err := q.client.Get(attempt, leadKey, clientv3.WithKeysOnly())
			end()
			if err == nil {
				close(answered)
				return
			}
			q.pause(ctx, retry)
		}
	}()
	select {
	case <-q.server.ReadyNotify():
	case <-answered:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (c *Config) defaults() {
	if c.Name == "" {
		c.Name = "warren"
	}
	if c.Quota == 0 {
		c.Quota = defaultQuota
	}
	if c.History == 0 {
		c.History = defaultHistory
	}
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
}

// Store returns the store without a fence, for everybody but the leader's controllers.
func (q *Quorum) Store() store.Store { return q.store }

// Local returns the store whose reads this member answers alone, with or without a majority: what it says may be old, see
// Health. Commits through it are those of Store.
func (q *Quorum) Local() store.Store { return q.store.Local() }

// Ready is closed when this member has taken part in a majority since its start, and so has everything up to then.
func (q *Quorum) Ready() <-chan struct{} { return q.readied }

// Done is closed when the member has ended, by Close or because it broke.
func (q *Quorum) Done() <-chan struct{} { return q.done }

// Err says why the member ended: ErrClosed or what broke it. It is nil before.
func (q *Quorum) Err() error {
	select {
	case <-q.done:
		return q.reason
	default:
		return nil
	}
}

// stop records why the member ends. The first reason counts.
func (q *Quorum) stop(why error) {
	q.end.Do(func() {
		q.reason = why
		close(q.done)
	})
}

// down refuses everything once the member has ended. A broken etcd would not answer at all.
func (q *Quorum) down() error {
	if err := q.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// gate refuses commits that must not reach etcd.
func (q *Quorum) gate() error { return q.room(q.config.MinFree) }

func (q *Quorum) unreadable(key string, err error) {
	q.log.Error(err, "Object in the store cannot be decoded; what it describes is left as it is", "key", key)
}

// Close ends the member; what was committed is on disk. It returns when all files are closed, or, where the member is
// broken and hangs, after some seconds.
func (q *Quorum) Close() error {
	q.stop(ErrClosed)
	q.tidying.Wait()
	if q.client != nil {
		q.client.Close()
	}
	hangs := q.server != nil && !q.halt()
	if hangs || errors.Is(q.reason, ErrBroken) {
		broken.Store(q.config.DataDir, true)
		return fmt.Errorf("close quorum in %s: %w: %w", q.config.DataDir, ErrBroken, q.reason)
	}
	return q.lock.Close()
}

// halt stops the server; false when it hangs.
func (q *Quorum) halt() bool {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		q.resign()
		q.server.HardStop()
	}()
	patience := closePatience
	if errors.Is(q.reason, ErrBroken) {
		patience = brokenPatience
	}
	select {
	case <-stopped:
		return true
	case <-time.After(patience):
		return false
	}
}

// resign hands the lead over before this member ends, if somebody is there to take it: nobody has to wait for an election.
func (q *Quorum) resign() {
	if q.pulse == nil || q.server.Leader() != q.server.MemberID() || errors.Is(q.reason, ErrBroken) {
		return
	}
	var others []Member
	for _, m := range q.called(context.Background(), q.known()) {
		if m.ID != uint64(q.server.MemberID()) {
			others = append(others, m)
		}
	}
	if _, reachable := votes(others); reachable == 0 {
		return
	}
	if err := q.handOver(context.Background(), others); err != nil {
		q.log.Info("Could not hand over the lead", "cause", err.Error())
	}
}
