package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	v1 "warren.io/warren/apis/v1"
	agentnode "warren.io/warren/controllers/agent/node"
	"warren.io/warren/controllers/nodes"
	"warren.io/warren/runtime/audit"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd"
	"warren.io/warren/runtime/host/network"
	"warren.io/warren/runtime/quorum"
	"warren.io/warren/runtime/seal"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/journal"
)

func runCommand() *cli.Command {
	return &cli.Command{Name: "run", Usage: "run this machine as a node, in the foreground", Flags: runFlags(),
		Description: "Tasks go on when warren stops, and are taken over when it starts again.",
		Action: func(c *cli.Context) error {
			cfg, err := readConfig(c)
			if c.Args().Present() {
				err = usageError{fmt.Errorf("run takes no arguments, only flags; %q is one", c.Args().First())}
			}
			if err != nil {
				return err
			}
			return runNode(c.Context, cfg)
		}}
}

// node is everything that runs in this process. Its parts come up one after the other; the API is there from the start and
// says what is missing.
type node struct {
	config
	id       identity
	late     *store.Late // what the API serves
	audit    atomic.Pointer[audit.Log]
	own      store.Store                   // the cluster as this node's agent may see and write it
	quorum   *quorum.Quorum                // of a manager
	member   atomic.Pointer[quorum.Quorum] // the same, for those who ask while it starts
	keyring  *keyring                      // what this node shows and believes
	office   *office                       // what a manager does for other nodes
	link     *link                         // of a worker to its managers
	journal  atomic.Pointer[journal.Store] // what a worker knows of what they want
	network  *network.Network
	host     *containerd.Host
	beats    *nodes.Beats
	hosts    lateHost
	status   board
	metrics  *metrics
	remarks  chan host.Remark
	pace     chan time.Duration // a new time between two signs of life
	every    atomic.Int64       // that time, once the cluster has said it
	brought  brought            // what the directory of images has brought
	saved    saved              // what is known of scheduled backups
	held     held               // tasks that nobody in the store knows
	ring     seal.Ring          // opens the secrets of the cluster
	kept     sync.Mutex         // of what keepManagers writes into id
	keyID    string             // of a manager with others: the SHA-256 of its public key
	trace    control.Trace      // of the leader's controllers and of people
	leading  flag
	wished   flag // is becoming a manager
	ctx      context.Context
	end      context.CancelCauseFunc // of ctx
	shutdown context.CancelFunc      // of ctx, because somebody wants that
	stopping sync.Once
	work     sync.WaitGroup
}

func runNode(ctx context.Context, cfg config) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("run: must be root to run containers; try: sudo warren run")
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // small machines: memory is scarcer than time
	}
	if err := control.CheckContracts(v1.Kinds, contracts()); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	cancel := func() { end(nil) }
	defer cancel()
	n := &node{config: cfg, remarks: make(chan host.Remark, maxRemarks), pace: make(chan time.Duration, 1), late: store.NewLate("warren is starting"),
		ctx: ctx, end: end, shutdown: cancel, metrics: newMetrics()}
	n.metrics.registry.MustRegister(&n.saved)
	n.office = newOffice(n)
	n.keyring = &keyring{node: n, news: make(chan v1.ClusterStatus, 1)}
	n.status.set("store", errors.New("is starting"))
	if cfg.manifests != "" {
		n.status.set("manifests", errors.New("not read yet"))
	}
	if cfg.images != "" {
		n.status.set("images-dir", errors.New("not read yet"))
	}
	if err := n.takeUnlockKey(); err != nil {
		return err
	}
	lock, err := lockDir(cfg.runDir, 0o755)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	defer lock.Close() // last of all: stop waits for it
	api, err := n.serve()
	if err != nil {
		return err
	}
	err = n.up(ctx, api)
	n.log.Info("stopping; tasks go on")
	n.down(api, cancel)
	if errors.Is(err, quorum.ErrBroken) || errors.Is(err, errAnew) {
		return n.again(err)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// up starts what makes a node and returns when it ends.
func (n *node) up(ctx context.Context, api *server.Server) error {
	lock, err := n.start(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	n.metrics.registry.MustRegister(&machine{meter: &n.hosts, leading: n.leading.get, node: n.id.Name, dataDir: n.dataDir})
	if n.id.worker() {
		return n.upWorker(ctx, api)
	}
	return n.upManager(ctx, api)
}

func (n *node) begin(f func()) { n.work.Go(f) }

// start opens the data directory and the store in it. What somebody can mend meanwhile, a full disk or a directory that
// cannot be written, is waited for and shown, so that no hand is needed here when it is mended.
func (n *node) start(ctx context.Context) (lock *os.File, err error) {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		if lock, err = n.tryStart(ctx); err == nil || errors.Is(err, errLocked) || ctx.Err() != nil {
			return lock, err
		}
		n.log.Error(err, "store cannot start, trying again; tasks go on", "dir", n.dataDir, "wait", wait.String())
		n.status.set("store", err)
		n.late.Explain(err.Error())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (n *node) tryStart(ctx context.Context) (*os.File, error) {
	lock, err := lockDir(n.dataDir, 0o700)
	if err != nil {
		return nil, err
	}
	if n.id, err = loadIdentity(n.dataDir, n.name); err == nil {
		n.findAddress()
	}
	switch {
	case err != nil:
	case n.id.worker():
		err = n.cleared()
	default:
		err = n.openStore(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// openHost looks at the machine and runs the agent's controllers.
func (n *node) openHost(ctx context.Context) (err error) {
	engine := &control.Engine{Name: "agent", Kinds: v1.Kinds, Log: n.log.WithName("agent"), Record: n.record, Done: n.metrics.reconciled}
	if n.network, err = network.Open(network.Config{RunDir: n.runDir, Instance: containerd.InstanceOf(n.dataDir), Log: n.log.WithName("network")}); err != nil {
		return err
	}
	n.host, err = containerd.Open(ctx, containerd.Config{
		DataDir: n.dataDir, RunDir: n.runDir, Socket: n.containerd, NodeName: n.id.Name, Cluster: n.id.Cluster, Network: n.network,
		Poke: func() { engine.Poke(tasksController, "") }, Log: n.log.WithName("containerd"), Registry: n.registry,
		Happened: n.metrics.happened, ImageGC: n.imageGC, Remark: n.remark,
	})
	if err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	n.hosts.open(n.host)
	engine.Store = store.View(n.own, visible(n.id.Name))
	engine.Controllers = agentControllers(n, host.ThisMachine{Version: version}, n.network, n.tasks(ctx), n.host)
	n.keyring.tell(func() { engine.Poke(agentnode.Name, "") })
	n.begin(func() { n.keyring.follow(ctx) })
	n.begin(func() { n.passOn(ctx) })
	n.begin(func() {
		defer n.metrics.engines.add(engine)()
		n.ended("agent", engine.Run(ctx))
	})
	return nil
}

func (n *node) ended(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, quorum.ErrClosed) {
		n.log.Error(err, "engine ended", "engine", what)
		n.status.set(what, fmt.Errorf("ended: %w", err))
	}
}

// down ends everything in the order in which one part needs the other. Tasks go on.
func (n *node) down(api *server.Server, cancel context.CancelFunc) {
	within := 10 * time.Second
	if errors.Is(context.Cause(n.ctx), errAnew) {
		within = time.Second // other managers talk for as long as they are let
	}
	ctx, done := context.WithTimeout(context.Background(), within)
	defer done()
	n.note("api", api.Shutdown(ctx))
	cancel()
	n.work.Wait()
	if n.host != nil {
		n.note("containerd", n.host.Close())
	}
	if n.network != nil {
		n.network.Close()
	}
	if n.link != nil {
		n.note("link", n.link.close())
	}
	if n.quorum != nil {
		n.note("store", n.quorum.Close())
	}
	n.note("audit log", n.closeAudit())
}

func (n *node) note(what string, err error) {
	if err != nil {
		n.log.Error(err, "could not be ended cleanly", "part", what)
	}
}

// anewVariable says that this process has taken the place of another one: a machine that has joined does not join again.
const anewVariable = "WARREN_STARTED_ANEW"

// again replaces this process by a new one: a broken etcd can be opened only by that.
func (n *node) again(why error) error {
	n.log.Info("starting anew; tasks go on", "cause", why.Error())
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, append(os.Environ(), anewVariable+"=1"))
	}
	return fmt.Errorf("start anew: %w", err)
}
