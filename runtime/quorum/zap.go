package quorum

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"

	"warren.io/warren/apis/meta"
)

// core passes etcd's warnings and errors on to a logr.Logger. Below that it is silent: etcd tells much about itself.
type core struct {
	log    logr.Logger
	quorum *Quorum
	fields []zapcore.Field
}

// Enabled implements zapcore.Core.
func (c *core) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	all := append(append([]zapcore.Field(nil), c.fields...), fields...)
	return &core{c.log, c.quorum, all}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core. What is said while the member closes says nothing but that it closes.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if c.quorum.Err() != nil && e.Level < zapcore.DPanicLevel {
		return nil
	}
	values, err := pairs(append(append([]zapcore.Field(nil), c.fields...), fields...))
	if err != nil && e.Level == zapcore.WarnLevel {
		values = append(values, "cause", err.Error())
	}
	switch {
	case harmless(e.Message):
		c.log.V(1).Info(e.Message, values...)
	case e.Level == zapcore.WarnLevel:
		c.log.Info(e.Message, values...)
	default:
		c.log.Error(err, e.Message, values...)
	}
	return nil
}

// quiet are beginnings of what etcd warns of and nobody needs to hear: at a start, that its first entries or its first
// snapshot are not there yet; later, each connection to each member that is away. That a majority is, is told elsewhere.
var quiet = []string{
	"Failed to detect schema version", "failed to update storage version", "Failed to detect storage schema version",
	"lost TCP streaming connection", "closed TCP streaming connection", "established TCP streaming connection",
	"peer became inactive", "prober detected unhealthy status", "prober found high clock drift",
	"failed to reach the peer URL", "failed to get version", "failed to send out heartbeat", "failed to find remote peer",
	"waiting for ReadIndex response", "ignored out-of-date read index", "failed to publish local member",
	"rejecting promote learner", "failed to promote a member", "leader failed to send out heartbeat",
	"failed to get hashKV", "failed hash kv request", "cannot fetch hash from", "found different compact revision",
	"stopped publish", "dropped internal Raft message", "timed out waiting for read index response",
}

func harmless(message string) bool {
	return slices.ContainsFunc(quiet, func(p string) bool { return strings.HasPrefix(message, p) })
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }

// pairs turns fields into keys and values, and takes out the error.
func pairs(fields []zapcore.Field) ([]any, error) {
	enc := zapcore.NewMapObjectEncoder()
	var cause error
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			cause = err
			continue
		}
		f.AddTo(enc)
	}
	var out []any
	for _, k := range meta.SortedKeys(enc.Fields) {
		out = append(out, k, enc.Fields[k])
	}
	return out, cause
}

// lastWord is what happens where etcd would end the process: the member breaks, and the goroutine that cannot go on ends.
type lastWord struct{ quorum *Quorum }

// OnWrite implements zapcore.CheckWriteHook.
func (l *lastWord) OnWrite(ce *zapcore.CheckedEntry, fields []zapcore.Field) {
	_, cause := pairs(fields)
	if cause == nil {
		cause = errors.New("no cause given")
	}
	l.quorum.stop(fmt.Errorf("%w: etcd: %s: %w", ErrBroken, ce.Message, cause))
	runtime.Goexit()
}
