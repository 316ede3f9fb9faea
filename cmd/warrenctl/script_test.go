package warrenctl

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/rogpeppe/go-internal/testscript"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
	"warren.io/warren/runtime/manifest"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// What warren recover would do is seen with real nodes, in e2e/node.
func init() {
	Recover = func(args []string) int {
		if strings.HasSuffix(args[1], ".backup") {
			return 0
		}
		return 1
	}
}

var update = flag.Bool("update", false, "write what is printed now into the scripts")

// noon is the time at which all scripts take place.
var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Each script in testdata talks to its own server over a memory store in which no controller works: what controllers would
// write, the script puts there. Commands beside those of testscript:
//
//	warrenctl ARGS        stdout and stderr as printed; fails unless the exit code is 0
//	exits CODE ARGS       the same with another exit code
//	put FILE...           writes objects with status and all, as the system does
//	begins ARGS           starts warrenctl and goes on; shows TEXT waits until it has printed that, interrupts is Ctrl-C
//	invites ROLE [USER]   makes a token by which people log in, $TOKEN
//	ago DAYS              is when certificates are made from then on
//	private FILE          nobody else may read it
//	far                   makes the node answer at $FAR, too, to those who have keys
func TestScripts(t *testing.T) {
	Version = "0.1.0"
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup:         setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"warrenctl": func(ts *testscript.TestScript, neg bool, args []string) { run(ts, codeDone, args) },
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				run(ts, code, args[1:])
			},
			"put": put, "begins": begins, "shows": shows, "interrupts": interrupts, "far": far, "invites": invites, "private": private, "ago": ago,
		},
	})
}

// node is the server of one script.
type node struct {
	mem     *memstore.Store
	members *someMembers
	server  *server.Server
	running *running
}

func setup(env *testscript.Env) error {
	n := &node{mem: memstore.New()}
	n.members = &someMembers{mem: n.mem}
	if err := demo(env.WorkDir); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "warrenctl") // a socket's path has to be short
	if err != nil {
		return err
	}
	env.Defer(func() { _ = os.RemoveAll(dir) })
	l, err := server.ListenUnix(dir)
	if err != nil {
		return err
	}
	inside := &someInside{files: filepath.Join(env.WorkDir, "task")}
	if err := os.MkdirAll(inside.files, 0o755); err != nil {
		return err
	}
	s := server.New(server.Config{
		Store: store.Admit(n.mem, v1.Kinds, func() time.Time { return noon }), Kinds: v1.Kinds, Log: logr.Discard(),
		Logs: someLogs{}, Images: &someImages{}, Pulls: somePulls{n.mem}, Inside: inside, Meter: inside,
		Graph: func() []string {
			return []string{"reconciler\tleader\tService\tTask Node\tTask Service.status", "agent/vips\tevery node\tVIP\tNode\t-"}
		},
		Info:    func(context.Context) (server.Info, error) { return server.Info{Version: "0.1.0", Node: "n1"}, nil },
		Members: n.members, Debug: someReports, Why: reasonsIn(n.mem), Backup: backupOf(n.mem), Audit: someAudit,
	})
	n.server = s
	go func() { _ = s.Serve(l) }()
	env.Defer(func() { _ = s.Shutdown(context.Background()) })
	env.Values["node"] = n
	env.Setenv("WARREN_SERVER", "unix://"+filepath.Join(dir, server.SocketName))
	return nil
}

// demo gives a script the demo cluster to put, unless it has one of its own.
func demo(dir string) error {
	path := filepath.Join(dir, "cluster.json")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	data, err := os.ReadFile("testdata/cluster.json")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func run(ts *testscript.TestScript, want int, args []string) {
	in := []byte(nil)
	if len(args) > 1 && args[0] == "<" {
		in, args = []byte(ts.ReadFile(args[1])), args[2:]
	}
	got := call(ts, args, in, ts.Stdout(), ts.Stderr())
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// call runs warrenctl within this process, as if in the script's directory and environment.
func call(ts *testscript.TestScript, args []string, in []byte, stdout, stderr io.Writer) int {
	if at := ts.Getenv("WARREN_SERVER"); at != "" && !strings.Contains(strings.Join(args, " "), "--server") && (len(args) == 0 || args[0] != completeVerb) {
		args = append([]string{"--server", at}, args...)
	}
	for i, a := range args {
		if i > 0 && slices.Contains([]string{"-f", "--file", "--keys", "--config"}, args[i-1]) && a != "-" {
			args[i] = ts.MkAbs(a)
		}
	}
	if at := slices.Index(args, "cp"); at >= 0 && len(args) == at+3 {
		for i, a := range args[at+1:] {
			if !strings.Contains(a, ":") {
				args[at+1+i] = ts.MkAbs(a)
			}
		}
	}
	var out, err bytes.Buffer
	p := &program{in: bytes.NewReader(in), out: &out, err: &err, now: func() time.Time { return noon }, getenv: ts.Getenv}
	code := p.main(context.Background(), args)
	plain := []string{ts.Getenv("WORK") + "/", ""}
	for _, name := range []string{"FAR", "PLAIN"} {
		if at := ts.Getenv(name); at != "" {
			plain = append(plain, at, name+":7070")
		}
	}
	_, _ = strings.NewReplacer(plain...).WriteString(stdout, out.String())
	_, _ = strings.NewReplacer(plain...).WriteString(stderr, err.String())
	return code
}

func put(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value("node").(*node)
	for _, name := range args {
		ts.Check(putAll(n.mem, []byte(ts.ReadFile(name))))
	}
}

// putAll writes JSON objects, one a line, over what is there.
func putAll(to store.Store, lines []byte) error {
	for line := range bytes.Lines(lines) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var doc map[string]any
		if err := json.Unmarshal(line, &doc); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		o, err := v1.Kinds.Decode(line)
		if err != nil {
			return err
		}
		o.SetDefaults()
		if was, err := to.Get(context.Background(), o.Key()); err == nil && doc["spec"] == nil {
			next := was.Clone()
			meta.CopyStatus(next, o)
			o = next
		}
		if _, err := to.Commit(context.Background(), store.Op{Verb: store.Put, Key: o.Key(), Object: o, Guard: store.Any}); err != nil {
			return err
		}
	}
	return nil
}

// someLogs knows three tasks, whose lines alternate in time.
type someLogs struct{}

func (someLogs) Read(ctx context.Context, task string, o host.LogOptions, emit func(host.LogLine) error) error {
	offset := map[string]int{"web-1-1": 0, "web-2-2": 1, "api-1-1": 2}
	at, ok := offset[task]
	if !ok {
		return fmt.Errorf("logs of %s: %w", task, host.ErrNotFound)
	}
	word := "line"
	if o.Previous {
		if task != "web-2-2" {
			return fmt.Errorf("logs of %s: %w", task, host.ErrNotFound)
		}
		word = "earlier line"
	}
	from := 0
	if o.Tail >= 0 {
		from = max(0, 3-o.Tail)
	}
	for i := from; i < 3; i++ {
		line := host.LogLine{Time: noon.Add(time.Duration(3*i+at-6) * time.Second), Stream: "stdout", Text: fmt.Sprintf("%s %d", word, i+1)}
		if line.Time.Before(o.Since) {
			continue
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	return nil
}

// somePulls knows of one image that is being fetched, where there is a task that wants it.
type somePulls struct{ store.Store }

func (s somePulls) WatchPulls(ctx context.Context, emit func([]host.Pull) error) error {
	if _, err := s.Get(ctx, meta.Key{Kind: v1.TaskKind.Name, Name: "shop-1-1"}); err != nil {
		return emit(nil)
	}
	p := host.Pull{Name: "docker.io/library/shop:2", Refs: []string{"shop:2"}, Phase: host.PullFetching, Done: 12 << 20, Total: 30 << 20, Rate: 3 << 20,
		Started: noon.Add(-4 * time.Second)}
	more := p
	more.Done, more.Rate = 15<<20, 2<<20
	for _, all := range [][]host.Pull{{p}, {p}, {more}} {
		if err := emit(all); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// someImages has one image until it is removed.
type someImages struct{ gone, pinned bool }

func (s *someImages) Import(_ context.Context, r io.Reader, o host.ImportOptions) ([]host.Image, error) {
	data, err := io.ReadAll(r)
	if strings.HasPrefix(string(data), "bad tar") {
		return nil, fmt.Errorf("import image: %w", tar.ErrHeader)
	}
	if err == nil && !strings.HasPrefix(string(data), "archive") {
		err = errors.New("is no archive of images")
	}
	if err != nil {
		return nil, err
	}
	s.gone, s.pinned = false, s.pinned || o.Pin
	return s.List(context.Background())
}

func (s *someImages) List(context.Context) ([]host.Image, error) {
	if s.gone {
		return nil, nil
	}
	return []host.Image{{Name: "warren.io/hello:1", Digest: "sha256:" + strings.Repeat("a", 64), Size: 5 << 20,
		Platforms: []string{"linux/amd64"}, Created: noon.Add(-72 * time.Hour), Pinned: s.pinned}}, nil
}

func (s *someImages) Pin(_ context.Context, name string, pinned bool) error {
	if s.gone || name != "warren.io/hello:1" {
		return fmt.Errorf("pin image %s: %w", name, host.ErrNotFound)
	}
	s.pinned = pinned
	return nil
}

func (s *someImages) Remove(_ context.Context, name string) error {
	if s.gone || name != "warren.io/hello:1" {
		return fmt.Errorf("remove image %s: %w", name, host.ErrNotFound)
	}
	s.gone = true
	return nil
}

// Every example and the manifests in the help are read strictly.
func TestManifestsInHelpAndExamples(t *testing.T) {
	if _, err := manifest.Read(nil, "../../manifests/examples"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"start", "services"} {
		text, err := topics.ReadFile("help/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.Read(strings.NewReader(manifestIn(string(text))), "-"); err != nil {
			t.Errorf("help %s: %v", name, err)
		}
	}
}

// manifestIn cuts the indented manifest out of a text.
func manifestIn(text string) string {
	var out strings.Builder
	indent := -1
	for line := range strings.Lines(text) {
		at := strings.Index(line, "apiVersion:")
		switch {
		case at >= 0:
			indent = at
		case indent >= 0 && len(strings.TrimSpace(line)) == 0:
			return out.String()
		}
		if indent >= 0 {
			out.WriteString(line[min(indent, len(line)-1):])
		}
	}
	return out.String()
}
