// Package containerd runs tasks as containers. It implements host.Tasks, host.Images and host.Logs on containerd, which
// runs inside this process, with a shim process of ours beside each task. Tasks outlive this process; what must be known to
// take them over again is kept in the labels of their containers and on the machine, nowhere else.
package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/version"
	"github.com/go-logr/logr"

	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/host/containerd/registry"
)

// Config says where a host keeps its things and what it works with.
type Config struct {
	DataDir string // containerd/, bin/ and logs/ are made here
	RunDir  string // containerd/, s/, runc/ and tasks/ are made here; emptied by a reboot
	// Socket of a containerd that runs already. Empty: one inside this process.
	Socket string
	// Instance sets this node's cgroups and sockets apart from those of other nodes on the same machine.
	// Empty: InstanceOf(DataDir).
	Instance string
	NodeName string
	// Cluster is the id of the cluster that containers are labelled with. Containers of another one are left alone.
	Cluster string
	Network host.Network
	// Poke is called after each change of what Observe returns, possibly often; it must return at once.
	Poke func()
	Log  logr.Logger
	// Happened, if set, is told what this host does and sees, for metrics. It must return at once.
	Happened func(host.Happening)
	// ImageGC says when images that nobody needs are removed.
	ImageGC ImageGC
	// Remark, if set, is told what people should hear. It must return at once.
	Remark func(host.Remark)
	// Registry says how images are fetched.
	Registry registry.Config
}

// InstanceOf is the id of the node that keeps its data in dataDir.
func InstanceOf(dataDir string) string {
	if abs, err := filepath.Abs(dataDir); err == nil {
		dataDir = abs
	}
	sum := sha256.Sum256([]byte(dataDir))
	return hex.EncodeToString(sum[:4])
}

// Host is the containers of one node.
type Host struct {
	cfg       Config
	log       logr.Logger
	paths     paths
	namespace string
	daemon    *daemon // nil with an existing containerd
	client    *client.Client
	plain     *client.Client // with an existing containerd: what client's images are stored by
	programs  programs
	images    *imageStore
	gc        *collector

	ctx       context.Context // ends with Close; carries the namespace
	cancel    context.CancelFunc
	running   sync.WaitGroup // units and the first look
	creating  chan struct{}  // one element for each container that is being made
	sweeping  sync.RWMutex   // held for writing while orphans are removed, for reading while something is made
	hurry     chan struct{}  // closed when grace periods are over for all
	hurried   sync.Once
	collected sync.Once   // in the first sweep
	verified  atomic.Bool // that no crash has spoilt anything

	mu      sync.Mutex
	units   map[string]*unit
	foreign map[string]bool // containers of another cluster
	wish    []host.Task     // set before the first look was done
	known   bool            // Set was called
	ready   bool            // the first look is done
	frozen  bool            // StopAll was called
	lacking []string        // images that are not complete
}

var (
	_ host.Tasks  = (*Host)(nil)
	_ host.Images = (*Host)(nil)
	_ host.Logs   = (*Host)(nil)
	_ host.Keeper = (*Host)(nil)
)

// Open starts containerd (or connects to cfg.Socket) and begins to look at what runs. It returns before that look is done:
// until then Observe answers host.ErrNotReady.
func Open(ctx context.Context, cfg Config) (*Host, error) {
	if cfg.Instance == "" {
		cfg.Instance = InstanceOf(cfg.DataDir)
	}
	if cfg.Poke == nil {
		cfg.Poke = func() {}
	}
	p, err := newPaths(cfg)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, log: cfg.Log, paths: p, namespace: "warren",
		// A start costs about 60 ms of processor time in several processes; more at once only makes each one later.
		creating: make(chan struct{}, 2*runtime.GOMAXPROCS(0)+2),
		hurry:    make(chan struct{}),
		units:    map[string]*unit{}, foreign: map[string]bool{},
	}
	if cfg.Socket != "" {
		h.namespace = "warren-" + cfg.Instance // others may use that containerd too, even another node of ours
	}
	h.ctx, h.cancel = context.WithCancel(namespaces.WithNamespace(context.WithoutCancel(ctx), h.namespace))
	if err := h.paths.make(); err != nil {
		return nil, err
	}
	crashed := h.beginRun()
	h.verified.Store(crashed == nil || cfg.Socket != "") // whose containerd it is looks after its store
	if err := h.start(ctx); err != nil {
		h.cancel()
		return nil, err
	}
	h.running.Go(h.firstLook)
	h.running.Go(h.gc.run)
	h.running.Go(func() {
		if crashed != nil && h.daemon != nil {
			h.scrub(*crashed)
		}
		h.mend(h.ctx)
	})
	return h, nil
}

func (h *Host) start(ctx context.Context) error {
	from, err := registry.New(h.cfg.Registry)
	if err != nil {
		return err
	}
	if h.programs, err = unpack(embedded, h.paths.bin); err != nil {
		return err
	}
	if h.cfg.Socket != "" {
		if err := h.connect(); err != nil {
			return err
		}
	} else {
		if err := h.paths.finishRemovals(h.namespace); err != nil {
			return fmt.Errorf("remove what a killed containerd left: %w", err)
		}
		if h.daemon, err = startDaemon(ctx, h.paths, h.log); err != nil {
			return err
		}
		h.client = h.daemon.client
	}
	h.images = newImageStore(h.client, from)
	h.images.tell = h.happened
	h.gc = newCollector(h, h.cfg.ImageGC)
	h.images.uses.nudge, h.images.keeps = h.gc.nudge, h.gc.mustStay
	if err := h.images.takeParts(h.ctx); err != nil {
		h.log.Error(err, "what unfinished pulls have left could not all be looked at")
	}
	return nil
}

// connect speaks to an existing containerd.
func (h *Host) connect() error {
	plain, err := client.New(h.cfg.Socket, client.WithDefaultNamespace(h.namespace))
	if err == nil {
		h.client, err = client.New(h.cfg.Socket, client.WithDefaultNamespace(h.namespace),
			client.WithServices(client.WithImageStore(labelled{plain.ImageService()})))
	}
	if err != nil {
		return fmt.Errorf("connect to containerd at %s: %w", h.cfg.Socket, err)
	}
	h.plain = plain
	return nil
}

// Close ends our work and containerd's; tasks go on. What was being made is finished or will be made again by the next Open.
func (h *Host) Close() error {
	h.cancel()
	h.running.Wait()
	h.images.close()
	if h.daemon != nil {
		h.daemon.stop()
		return h.endRun()
	}
	return errors.Join(h.client.Close(), h.plain.Close(), h.endRun())
}

// Version names the containerd that runs inside.
func (h *Host) Version() string {
	if h.daemon == nil {
		return "containerd at " + h.cfg.Socket
	}
	return "containerd " + version.Version
}

// StopAll stops every task, with its own signal and grace period, and waits until all are gone. Set is refused from then on.
func (h *Host) StopAll(ctx context.Context) error {
	if err := h.freeze(ctx); err != nil {
		return err
	}
	return h.wait(ctx, func() bool { return len(h.units) == 0 })
}

// freeze makes "nothing" the last wish.
func (h *Host) freeze(ctx context.Context) error {
	if err := h.wait(ctx, func() bool { return h.ready }); err != nil {
		return err
	}
	if err := h.Set(ctx, nil); err != nil && !errors.Is(err, errFrozen) {
		return err
	}
	h.mu.Lock()
	h.frozen = true
	h.mu.Unlock()
	return nil
}
