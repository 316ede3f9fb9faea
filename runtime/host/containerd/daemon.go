package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/diff/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	namespacesapi "github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/cmd/containerd/server"
	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/introspection"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/containerd/v2/plugins/services"
	"github.com/containerd/containerd/v2/version"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
)

// daemon is containerd, inside this process.
type daemon struct {
	server *server.Server
	client *client.Client
	cancel context.CancelFunc
}

// startDaemon runs containerd on the given folders. Its tasks are separate processes and outlive it.
func startDaemon(ctx context.Context, p paths, log logr.Logger) (*daemon, error) {
	routeLogs(log)
	cfg := daemonConfig(p)
	if err := server.CreateTopLevelDirectories(cfg); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	if err := mount.SetTempMountLocation(p.tempMounts); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	if _, err := mount.CleanupTempMounts(0); err != nil {
		log.Error(err, "temporary mounts of an earlier run could not be removed")
	}
	if err := dropHalfMade(p.containerdRoot); err != nil {
		log.Error(err, "what an earlier run had begun to write could not be removed")
	}
	starting.Lock()
	defer starting.Unlock()
	memoryClient = nil
	// Its parts work until this context ends; the caller's is only for starting.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s, err := server.New(ctx, cfg)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	d := &daemon{s, memoryClient, cancel}
	if d.client == nil {
		d.stop()
		return nil, errors.New("start containerd: a part of it did not load, see the log")
	}
	// Folders that a kill left without a record are in the way. In a new store there is not even a list of records.
	if err := memoryLayers.Cleanup(ctx); err != nil && !errdefs.IsNotFound(err) {
		log.Error(err, "folders of unfinished root file systems could not be removed")
	}
	if err := s.Start(ctx); err != nil {
		d.stop()
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	return d, nil
}

func daemonConfig(p paths) *srvconfig.Config {
	return &srvconfig.Config{
		Version: version.ConfigVersion,
		Root:    p.containerdRoot,
		State:   p.containerdState,
		// These register with the process-wide Prometheus registry, where etcd's are too: that panics.
		DisabledPlugins: []string{"io.containerd.metrics.v1.grpc-prometheus", "io.containerd.metrics.v1.grpc-otel"},
		Plugins: map[string]any{
			"io.containerd.server.v1.grpc": map[string]any{
				"address": p.socket, "max_recv_message_size": 16 << 20, "max_send_message_size": 16 << 20,
			},
			"io.containerd.server.v1.ttrpc": map[string]any{"address": p.socket + ".ttrpc"},
			// What counts as unpacked is on the disk, and not only in the memory of a machine that may lose its power.
			"io.containerd.service.v1.diff-service": map[string]any{"sync_fs": true},
			"io.containerd.shim.v1.manager":         map[string]any{"socket_dir": p.shimSockets},
			// It wakes up to see whether there is garbage after a pause that is the longer the less of its time it may use:
			// every 2.5 s, where its default is 4 times a second for as long as the node lives.
			"io.containerd.gc.v1.scheduler": map[string]any{"pause_threshold": 0.002},
		},
	}
}

// stop ends the daemon; shims and their tasks go on.
func (d *daemon) stop() {
	if d.client != nil {
		_ = d.client.Close()
	}
	d.cancel()
	d.server.Stop()
}

// A client that calls containerd's services directly saves several milliseconds per start compared to its socket. containerd
// hands its services only to plugins, so there is one that takes them and leaves a client here.
var (
	starting     sync.Mutex
	memoryClient *client.Client
	memoryLayers snapshots.Cleaner
)

func init() {
	registry.Register(&plugin.Registration{
		Type:     plugins.InternalPlugin,
		ID:       "warren-client",
		Requires: []plugin.Type{plugins.EventPlugin, plugins.LeasePlugin, plugins.ServicePlugin, plugins.SnapshotPlugin},
		InitFn: func(ic *plugin.InitContext) (any, error) {
			layers, err := ic.GetByID(plugins.SnapshotPlugin, snapshotter)
			if err != nil {
				return nil, err
			}
			c, err := newMemoryClient(ic)
			memoryClient, memoryLayers = c, layers.(snapshots.Cleaner)
			return c, err
		},
	})
}

func newMemoryClient(ic *plugin.InitContext) (*client.Client, error) {
	events, err := ic.GetSingle(plugins.EventPlugin)
	if err != nil {
		return nil, err
	}
	lease, err := ic.GetSingle(plugins.LeasePlugin)
	if err != nil {
		return nil, err
	}
	opts := []client.ServicesOpt{
		client.WithEventService(events.(client.EventService)),
		client.WithLeasesService(lease.(leases.Manager)),
	}
	loaded, err := ic.GetByType(plugins.ServicePlugin)
	if err != nil {
		return nil, err
	}
	for name, use := range clientServices {
		s, ok := loaded[name]
		if !ok {
			return nil, fmt.Errorf("service %s did not load", name)
		}
		opts = append(opts, use(s))
	}
	return client.New("", client.WithServices(opts...))
}

var clientServices = map[string]func(any) client.ServicesOpt{
	services.ContentService: func(s any) client.ServicesOpt { return client.WithContentStore(s.(content.Store)) },
	services.ImagesService: func(s any) client.ServicesOpt {
		return client.WithImageStore(labelled{client.NewImageStoreFromClient(s.(imagesapi.ImagesClient))})
	},
	services.SnapshotsService: func(s any) client.ServicesOpt {
		return client.WithSnapshotters(s.(map[string]snapshots.Snapshotter))
	},
	services.ContainersService: func(s any) client.ServicesOpt {
		return client.WithContainerClient(s.(containersapi.ContainersClient))
	},
	services.TasksService: func(s any) client.ServicesOpt { return client.WithTaskClient(s.(tasks.TasksClient)) },
	services.DiffService:  func(s any) client.ServicesOpt { return client.WithDiffClient(s.(diff.DiffClient)) },
	services.NamespacesService: func(s any) client.ServicesOpt {
		return client.WithNamespaceClient(s.(namespacesapi.NamespacesClient))
	},
	services.IntrospectionService: func(s any) client.ServicesOpt {
		return client.WithIntrospectionService(s.(introspection.Service))
	},
}

// routeLogs sends containerd's warnings and errors to log; it writes through one process-wide logger.
func routeLogs(log logr.Logger) {
	l := logrus.StandardLogger()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.WarnLevel)
	l.ReplaceHooks(logrus.LevelHooks{})
	l.AddHook(&logHook{log.WithName("containerd")})
}

type logHook struct{ log logr.Logger }

func (h *logHook) Levels() []logrus.Level { return logrus.AllLevels[:logrus.WarnLevel+1] }

// Fire passes an entry on. What containerd warns of, and that a thing which it cleans up is gone already, interests only
// somebody who looks for a fault of ours.
func (h *logHook) Fire(e *logrus.Entry) error {
	values := make([]any, 0, 2*len(e.Data)+2)
	values = append(values, "text", e.Message)
	var cause error
	for k, v := range e.Data {
		if err, ok := v.(error); ok && k == logrus.ErrorKey {
			cause = err
			continue
		}
		values = append(values, k, fmt.Sprint(v))
	}
	if e.Level <= logrus.ErrorLevel && !usual(e.Message, cause) {
		h.log.Error(cause, "containerd reports an error", values...)
		return nil
	}
	if cause != nil {
		values = append(values, "error", cause.Error())
	}
	h.log.V(1).Info("containerd warns", values...)
	return nil
}

// usual tells errors that follow from a killed process, ours or a shim. What they are about is found and repaired by us.
func usual(text string, cause error) bool {
	for _, begin := range []string{
		"failed to load shim ", "failed to delete dead shim", "ttrpc: received message on inactive stream",
		"failed sending message on channel", "copy shim log", "failed to delete task",
	} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return cause != nil && (errdefs.IsNotFound(cause) || errdefs.IsNotFound(errgrpc.ToNative(cause)) || errors.Is(cause, os.ErrClosed))
}
