package warrenctl

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store/memstore"
)

// running is a warrenctl that goes on while its script does.
type running struct {
	out, err text
	stop     context.CancelFunc
	code     chan int
}

// begins starts a warrenctl that does not end by itself.
func begins(ts *testscript.TestScript, _ bool, args []string) {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, code: make(chan int, 1)}
	p := &program{in: strings.NewReader(""), out: &r.out, err: &r.err, now: func() time.Time { return noon }, getenv: ts.Getenv}
	args = append([]string{"--server", ts.Getenv("WARREN_SERVER")}, args...)
	go func() { r.code <- p.main(ctx, args) }()
	ts.Defer(stop)
	ts.Value("node").(*node).running = r
}

// shows waits until it has printed a text.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	r := ts.Value("node").(*node).running
	want := strings.Join(args, " ")
	for end := time.Now().Add(soon); !strings.Contains(r.out.String(), want); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%q is not printed, but %q and %q", want, &r.out, &r.err)
		}
	}
}

// interrupts is Ctrl-C. What was printed is what stdout and stderr are about from then on.
func interrupts(ts *testscript.TestScript, _ bool, _ []string) {
	r := ts.Value("node").(*node).running
	r.stop()
	select {
	case code := <-r.code:
		if code != codeInterrupted {
			ts.Fatalf("exit code %d after an interruption: %s%s", code, &r.out, &r.err)
		}
	case <-time.After(soon):
		ts.Fatalf("does not end when interrupted")
	}
	_, err := ts.Stdout().Write([]byte(r.out.String()))
	ts.Check(err)
	_, err = ts.Stderr().Write([]byte(r.err.String()))
	ts.Check(err)
}

// far makes the node answer at the address $FAR, too, to holders of what is in keys. Beside it are folders of keys that do
// not fit: foreign of another cluster, mixed with its administrator, old which have expired, half which are not all. At
// $PLAIN is something that is no warren.
func far(ts *testscript.TestScript, _ bool, _ []string) {
	config, err := identity.ServerConfig(ts.MkAbs("keys"), "")
	ts.Check(err)
	ts.Value("node").(*node).members.open(ts, ts.MkAbs("keys"))
	_, err = identity.ServerConfig(ts.MkAbs("foreign"), "")
	ts.Check(err)
	for to, from := range map[string]string{"half": "", "mixed": "foreign", "old": "keys"} {
		ts.Check(os.Mkdir(ts.MkAbs(to), 0o755))
		ts.Check(copyFile(ts.MkAbs("keys/ca.crt"), ts.MkAbs(to+"/ca.crt")))
		for _, name := range []string{"admin.crt", "admin.key"} {
			if from != "" {
				ts.Check(copyFile(ts.MkAbs(from+"/"+name), ts.MkAbs(to+"/"+name)))
			}
		}
	}
	ts.Check(expire(ts.MkAbs("keys"), ts.MkAbs("old")))
	l, err := server.ListenTLS("127.0.0.1:0", config)
	ts.Check(err)
	s := ts.Value("node").(*node).server
	go func() { _ = s.Serve(l) }()
	ts.Setenv("FAR", l.Addr().String())
	plain := httptest.NewServer(http.NotFoundHandler())
	ts.Defer(plain.Close)
	ts.Setenv("PLAIN", plain.Listener.Addr().String())
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// expire signs the administrator's certificate in a folder anew, for a time that is over.
func expire(authority, dir string) error {
	ca, err := tls.LoadX509KeyPair(authority+"/ca.crt", authority+"/ca.key")
	if err != nil {
		return err
	}
	admin, err := tls.LoadX509KeyPair(dir+"/admin.crt", dir+"/admin.key")
	if err != nil {
		return err
	}
	c := admin.Leaf
	c.NotAfter = c.NotBefore.Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Leaf, c.PublicKey, ca.PrivateKey)
	if err != nil {
		return err
	}
	return os.WriteFile(dir+"/admin.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// reasonsIn knows why what is in a store is as it is.
func reasonsIn(mem *memstore.Store) func(context.Context, meta.Key) ([]string, error) {
	return func(ctx context.Context, key meta.Key) ([]string, error) {
		if _, err := mem.Get(ctx, key); err != nil {
			return nil, err
		}
		return []string{lower(key.Kind, key.Name) + " is so because it was asked for.", "", "before that nothing was decided."}, nil
	}
}
