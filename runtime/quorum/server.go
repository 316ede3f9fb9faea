package quorum

import (
	"context"
	"crypto/rand"
	"errors"
	"expvar"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"warren.io/warren/runtime/store"
)

const (
	// A member without peers has nobody to tell that it lives, so its clock may be slow: it costs processor time.
	tick          = 500 // ms
	electionTicks = 3
	// One that has others says every tick that it lives. Who hears nothing for 8 to 15 ticks, by chance, asks for votes: the
	// first of two after 1.0 s at the median. Less would take a card that is slow for a moment for a dead member.
	peerTick          = 100 // ms
	peerElectionTicks = 8
	// nowhere is the address of a member without peers. Nothing listens there; etcd demands one.
	nowhere = "http://127.0.0.1:0"
	// largest is what one commit may weigh. The log's own limit is 10 MB an entry.
	largest = 8 << 20
	// startPatience is how long a start may take: a large log on a slow card takes seconds.
	startPatience = 2 * time.Minute
)

// The log is kept in segments that are allocated before they are needed: two at least. etcd's are 64 MB.
func init() { wal.SegmentSizeBytes = 8 << 20 }

// settings are for small machines and flash cards. fsync stays on.
func (q *Quorum) settings() (config.ServerConfig, error) {
	here, err := types.NewURLs([]string{nowhere})
	if err != nil {
		return config.ServerConfig{}, err
	}
	log := q.zap()
	c := config.ServerConfig{
		Name: q.config.Name, DataDir: q.config.DataDir, PeerURLs: here, Logger: log,
		// The token makes the ids of a new cluster unique. An existing directory has its own.
		NewCluster: true, InitialClusterToken: rand.Text(), InitialPeerURLsMap: types.URLsMap{q.config.Name: here},
		TickMs: tick, ElectionTicks: electionTicks, InitialElectionTickAdvance: true, PreVote: true,
		// Entries since the last snapshot are read again at a start. Those for slow followers are kept in memory.
		SnapshotCount: 2000, SnapshotCatchUpEntries: 500, MaxSnapFiles: 2, MaxWALFiles: 2,
		QuotaBackendBytes: q.config.Quota, MaxRequestBytes: largest, MaxTxnOps: 4 * store.MaxOps,
		// The log is on disk before a commit is acknowledged; the database may follow later. At ten commits a second
		// this is 9 KB written for each instead of 36 KB with etcd's 100 ms.
		BackendBatchInterval: time.Second,
		// No AutoCompaction: see tidy. No corruption checks: they run by the clock.
		WarningApplyDuration: time.Second, WarningUnaryRequestDuration: 2 * time.Second,
		// etcd would let five seconds pass before each change of the members. What it checks, Remove does.
		StrictReconfigCheck: false, MaxLearners: learners, BcryptCost: 10, // nobody logs in; 0 would be warned of
		V2Deprecation:     config.V2DeprDefault,
		ServerFeatureGate: features.NewDefaultServerFeatureGate(q.config.Name, log),
	}
	if q.config.Peer.set() {
		c.TickMs, c.ElectionTicks = peerTick, peerElectionTicks
		c.PeerTLSInfo, c.PeerURLs, err = q.config.Peer.etcd()
		c.InitialPeerURLsMap = types.URLsMap{q.config.Name: c.PeerURLs}
	}
	return c, err
}

// boot opens the files and starts the server, in a goroutine of its own as etcd ends the one in which it fails fatally.
func (q *Quorum) boot(settings config.ServerConfig) error {
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			if r := recover(); r != nil {
				q.stop(fmt.Errorf("%w: etcd: %v", ErrBroken, r))
			}
		}()
		if err := q.open(settings); err != nil {
			q.stop(err)
		}
	}()
	<-over
	return damaged(q.Err())
}

func (q *Quorum) open(settings config.ServerConfig) error {
	server, err := etcdserver.NewServer(settings)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if settings.NewCluster && !settings.ForceNewCluster && len(server.Cluster().Members()) > 1 { // compare with the others before it takes part
		if err := server.CorruptionChecker().InitialCheck(); err != nil {
			return fmt.Errorf("%w: %w: %w", ErrBroken, ErrCorrupt, err)
		}
	}
	server.Start()
	q.server = server
	return nil
}

// damaged adds the class to errors of etcd that mean damage.
func damaged(err error) error {
	if errors.Is(err, wal.ErrCRCMismatch) || errors.Is(err, walpb.ErrCRCMismatch) || errors.Is(err, wal.ErrFileNotFound) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// ready waits until the only member takes commits. Where it turns out to have others it returns false at once. The
// database may be older than the log: that others were added may stand in the log only.
func (q *Quorum) ready(ctx context.Context) (alone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	others := make(chan struct{})
	go q.campaign(ctx, others)
	select {
	case <-q.server.ReadyNotify():
		return true, q.finish()
	case <-others:
		return false, nil
	case <-q.done:
		return false, q.Err()
	case <-ctx.Done():
		return false, fmt.Errorf("wait for a leader: %w", ctx.Err())
	}
}

// campaign makes the only member a leader at once, where raft would wait for up to two election timeouts that nobody else
// takes the chance. The message is the one by which a leader hands over. It must not come before raft has counted as
// applied what it found in its log: it would look through entries then that etcd may have dropped already, and panic. And
// the log may name others.
func (q *Quorum) campaign(ctx context.Context, others chan<- struct{}) {
	id := uint64(q.server.MemberID())
	for q.server.Leader() == 0 && ctx.Err() == nil && q.Err() == nil {
		if len(q.server.Cluster().Members()) > 1 {
			close(others)
			return
		}
		if s, ok := raftStatus(); ok && s.ID == id && s.Applied == s.GetCommit() && len(s.Config.Voters.IDs()) == 1 {
			q.server.Process(ctx, &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), From: &id, To: &id})
		}
		q.pause(ctx, time.Millisecond)
	}
}

// raftStatus is what etcd publishes for debugging, of the member that was started last in this process. There is no
// other way to learn it; without it a start takes up to two seconds longer.
func raftStatus() (raft.Status, bool) {
	f, ok := expvar.Get("raft.status").(expvar.Func)
	if !ok {
		return raft.Status{}, false
	}
	s, ok := f().(raft.Status)
	return s, ok
}

func (q *Quorum) zap() *zap.Logger {
	return zap.New(&core{log: q.log.WithName("etcd"), quorum: q},
		zap.WithFatalHook(&lastWord{q}), zap.WithPanicHook(&lastWord{q}))
}
