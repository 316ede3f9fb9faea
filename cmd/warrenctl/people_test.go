package warrenctl

import (
	"context"
	"crypto/x509"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
)

// someMembers makes the same token each time, and lets people log in by those of invites.
type someMembers struct {
	mem  *memstore.Store
	desk *identity.Desk // of the keys that far made
}

func (*someMembers) Addresses() ([]string, error) { return nil, nil }

func (m *someMembers) CreateToken(ctx context.Context, w server.TokenWish) (server.NewToken, error) {
	t := meta.New[v1.Token]("abcd2345")
	t.Spec = v1.TokenSpec{Role: v1.Role(w.Role), User: w.User, Hash: "00", Expires: noon.Add(w.TTL), Uses: w.Uses}
	t.Metadata.Created = noon
	_, err := m.mem.Commit(ctx, store.Op{Verb: store.Put, Key: t.Key(), Object: t, Guard: store.Any})
	return server.NewToken{Text: "warren1.PIN.abcd2345.SECRET", ID: "abcd2345", Expires: t.Spec.Expires, Address: "192.0.2.1:7070"}, err
}

func (*someMembers) Join(context.Context, server.Joining) (server.Joined, error) {
	return server.Joined{}, store.ErrForbidden
}

func (m *someMembers) Login(ctx context.Context, l server.LoggingIn) (server.LoggedIn, error) {
	if m.desk == nil {
		return server.LoggedIn{}, store.ErrForbidden
	}
	cert, u, err := m.desk.Login(ctx, l.Token, l.User, l.CSR)
	if err != nil {
		return server.LoggedIn{}, err
	}
	return server.LoggedIn{Certificate: cert, Cluster: "c", Role: string(u.Spec.Role), User: u.Metadata.Name}, nil
}

func (*someMembers) Renew(context.Context, string, []byte) (server.Renewed, error) {
	return server.Renewed{}, store.ErrForbidden
}

func (*someMembers) IsManager(string) bool { return false }

func (*someMembers) Relayed([]string) error { return nil }

func (*someMembers) Place(context.Context, string, server.PlaceWish) (server.Place, error) {
	return server.Place{}, nil
}

func (*someMembers) Managers(context.Context, bool) ([]server.MemberState, error) {
	return []server.MemberState{{Name: "n1", Address: "192.0.2.1:7070", Leader: true, Voter: true, Reachable: true},
		{Name: "n2", Address: "192.0.2.2:7070", Voter: true, Detail: "the disk is nearly full"}}, nil
}

func (m *someMembers) RenewUser(ctx context.Context, user string, csr []byte) ([]byte, error) {
	return m.desk.RenewUser(ctx, user, csr)
}

func (*someMembers) Heard(string) {}

func (*someMembers) Reached(context.Context, string, *server.Pipe) error { return nil }

func (*someMembers) Standing(context.Context, *x509.Certificate) (server.Standing, error) {
	return server.Good, nil
}

func (*someMembers) Impostor(*x509.Certificate) bool { return false }

func (m *someMembers) Dismissed(string) store.Store { return m.mem }

func (m *someMembers) Scope(string) store.Store { return m.mem }

// open makes the desk of the keys in a folder.
func (m *someMembers) open(ts *testscript.TestScript, dir string) {
	var err error
	m.desk, err = identity.OpenDesk(dir, m.mem, time.Now)
	ts.Check(err)
}

// invites ROLE [USER] makes a token and keeps it in $TOKEN.
func invites(ts *testscript.TestScript, _ bool, args []string) {
	user := ""
	if len(args) > 1 {
		user = args[1]
	}
	text, _, err := ts.Value("node").(*node).members.desk.CreateTokenFor(context.Background(), user, v1.Role(args[0]), time.Hour, 1)
	ts.Check(err)
	ts.Setenv("TOKEN", text)
}

// ago DAYS is when from then on certificates and tokens are made.
func ago(ts *testscript.TestScript, _ bool, args []string) {
	days, err := strconv.Atoi(args[0])
	ts.Check(err)
	m := ts.Value("node").(*node).members
	m.desk, err = identity.OpenDesk(ts.MkAbs("keys"), m.mem, func() time.Time { return time.Now().Add(-time.Duration(days) * 24 * time.Hour) })
	ts.Check(err)
}

// private demands that a file is its owner's alone.
func private(ts *testscript.TestScript, _ bool, args []string) {
	s, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if mode := s.Mode().Perm(); mode&0o077 != 0 {
		ts.Fatalf("%s is %s", args[0], strings.TrimSpace(mode.String()))
	}
}
