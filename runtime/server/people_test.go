package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/server/api"
	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/grpcstore"
)

// person is a user who has logged in.
type person struct {
	*grpcstore.Store
	keys *identity.User
}

// login makes a user with a token that an administrator made; name is said by the token.
func (c *cluster) login(t *testing.T, role v1.Role, name string) person {
	t.Helper()
	made, err := c.dial(t).CreateToken(t.Context(), grpcstore.TokenWish{Role: string(role), User: name, TTL: time.Hour, Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.tryLogin(t, made.Text, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *cluster) tryLogin(t *testing.T, text, name string) (person, error) {
	t.Helper()
	token, err := identity.ParseToken(text)
	if err != nil {
		return person{}, err
	}
	a, err := identity.Apply(name, token.Pin)
	if err != nil {
		return person{}, err
	}
	csr, err := a.Request()
	if err != nil {
		return person{}, err
	}
	l, err := c.as(t, a.TLS()).Login(t.Context(), grpcstore.LoggingIn{Token: text, User: name, CSR: csr})
	if err != nil {
		return person{}, err
	}
	papers, err := a.Papers(l.Certificate)
	if err != nil {
		return person{}, err
	}
	u, err := papers.Open()
	if err != nil {
		return person{}, err
	}
	return person{c.as(t, u.TLS()), u}, nil
}

// Every method of every service is somebody's, by name.
func TestEveryMethodIsForSomebody(t *testing.T) {
	f := serve(t, nil)
	ranks := slices.Concat(forViewers, forOperators, forAdmins)
	for name, service := range f.grpc.GetServiceInfo() {
		for _, m := range service.Methods {
			method := "/" + name + "/" + m.Name
			if !slices.Contains(slices.Concat(ranks, forAll, forWorkers, forManagers, forUsers), method) {
				t.Errorf("%s stands in no list of roles.go: say who may call it", method)
			}
			if n := len(slices.DeleteFunc(slices.Clone(ranks), func(x string) bool { return x != method })); n > 1 {
				t.Errorf("%s stands in %d lists of people in roles.go", method, n)
			}
		}
	}
	for name, service := range f.lobby.GetServiceInfo() {
		for _, m := range service.Methods {
			if !slices.Contains(forAll, "/"+name+"/"+m.Name) {
				t.Errorf("%s is served without a certificate", m.Name)
			}
		}
	}
	for _, role := range append(slices.Clone(v1.People), v1.RoleManager, v1.RoleWorker, "", "king") {
		if f.permit(t.Context(), caller{role: role}, "/warren.v1.Warren/New") == nil {
			t.Errorf("%q may call what stands nowhere", role)
		}
	}
}

func TestEveryKindHasRights(t *testing.T) {
	for _, k := range v1.Kinds {
		if _, ok := kindRights[k.Name]; !ok {
			t.Errorf("%s has no rights in roles.go: say who may see, write and remove it", k.Name)
		}
	}
	if r := rightsOf("Secret"); r.see != v1.RoleAdmin || r.write != v1.RoleAdmin || r.remove != v1.RoleAdmin {
		t.Errorf("a kind without rights: %+v", r)
	}
}

// takesRole is what the calls that can be made take; those that are missing are no person's.
var takesRole = map[string]v1.Role{
	"Get": v1.RoleViewer, "List": v1.RoleViewer, "Watch": v1.RoleViewer, "Logs": v1.RoleViewer, "Usage": v1.RoleViewer, "Images": v1.RoleViewer,
	"Pulls": v1.RoleViewer, "Info": v1.RoleViewer, "Graph": v1.RoleViewer, "Why": v1.RoleViewer, "Renew": v1.RoleViewer,
	"Commit": v1.RoleOperator, "Exec": v1.RoleOperator, "Forward": v1.RoleOperator, "ReadFiles": v1.RoleOperator, "WriteFiles": v1.RoleOperator,
	"Import": v1.RoleOperator, "Remove": v1.RoleOperator, "Pin": v1.RoleOperator,
	"Stop": v1.RoleAdmin, "Reports": v1.RoleAdmin, "CreateToken": v1.RoleAdmin,
}

func TestPeopleCallWhatTheirRoleAllows(t *testing.T) {
	c := newCluster(t, nil)
	for _, role := range v1.People {
		p := c.login(t, role, "a-"+string(role))
		for what, call := range calls(t.Context(), p.Store) {
			takes := takesRole[what]
			err := call()
			switch refused := errors.Is(err, store.ErrForbidden); {
			case what == "Renew" && role.OfPeople(): // without a request
			case takes != "" && role.AtLeast(takes):
				if refused {
					t.Errorf("%s as %s: %v", what, role, err)
				}
			case !refused && what != "Reach" || err == nil:
				t.Errorf("%s as %s: %v", what, role, err)
			case takes != "" && (!strings.Contains(err.Error(), fmt.Sprintf("takes the role %s, and a-%s has the role %s", takes, role, role)) || !strings.Contains(err.Error(), "\ntry: ")):
				t.Errorf("%s as %s is refused in these words: %v", what, role, err)
			}
		}
		if me, err := p.Whoami(t.Context()); err != nil || me != (grpcstore.Self{Name: "a-" + string(role), Role: string(role), User: true}) {
			t.Errorf("%s is %+v %v", role, me, err)
		}
	}
}

// one of each kind, as the system made it.
func oneOfEach() (all []meta.Object) {
	for _, k := range v1.Kinds {
		o := k.New()
		o.Meta().Name = "x"
		all = append(all, o)
	}
	return all
}

func TestPeopleSeeAndWriteWhatTheirRoleAllows(t *testing.T) {
	c := newCluster(t, nil)
	for _, o := range oneOfEach() {
		commit(t, c.store, put(o))
	}
	for _, role := range v1.People {
		p := c.login(t, role, "b-"+string(role))
		seen := kindsIn(t, p.Store)
		for _, o := range oneOfEach() {
			kind := o.Key().Kind
			r := rightsOf(kind)
			own := kind == "User" // of which each sees one
			if got := seen[kind]; got != (role.AtLeast(r.see) || own) {
				t.Errorf("%s lists %s: %v", role, kind, got)
			}
			_, err := p.Get(t.Context(), o.Key())
			if errors.Is(err, store.ErrForbidden) == role.AtLeast(r.see) {
				t.Errorf("%s gets %s: %v", role, o.Key(), err)
			}
			_, _, err = p.Only(kind).List(t.Context())
			if errors.Is(err, store.ErrForbidden) == (role.AtLeast(r.see) || own) {
				t.Errorf("%s lists only %s: %v", role, kind, err)
			}
			_, err = p.Commit(t.Context(), put(aService("with-"+strings.ToLower(kind))), put(o))
			if errors.Is(err, store.ErrForbidden) == role.AtLeast(r.write) || err == nil && !role.AtLeast(r.write) {
				t.Errorf("%s writes %s: %v", role, kind, err)
			}
			_, err = p.Commit(t.Context(), store.Op{Verb: store.Delete, Key: o.Key(), Guard: store.Any})
			if errors.Is(err, store.ErrForbidden) == role.AtLeast(r.remove) {
				t.Errorf("%s removes %s: %v", role, kind, err)
			}
			commit(t, c.store, put(o))
			for _, gone := range []string{"with-" + strings.ToLower(kind)} {
				_, err := c.store.Get(t.Context(), meta.Key{Kind: "Service", Name: gone})
				if (err == nil) != role.AtLeast(r.write) {
					t.Errorf("%s: half of a refused commit is done, or none of an allowed one: %v", role, err)
				}
				_, _ = c.store.Commit(t.Context(), store.Op{Verb: store.Delete, Key: meta.Key{Kind: "Service", Name: gone}, Guard: store.Any})
			}
		}
	}
}

// kindsIn are those of which a person sees anything, by list and by watch.
func kindsIn(t *testing.T, s *grpcstore.Store) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all, rev, err := s.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	listed, watched := map[string]bool{}, map[string]bool{}
	for _, o := range all {
		listed[o.Key().Kind] = true
	}
	for b := range s.Watch(ctx, 1) {
		if b.Err != nil {
			t.Fatal(b.Err)
		}
		for _, x := range b.Changes {
			watched[x.Key.Kind] = true
		}
		if b.Revision >= rev {
			break
		}
	}
	for kind := range watched {
		if !listed[kind] {
			t.Errorf("a watch shows a %s", kind)
		}
	}
	return listed
}

// TestPeopleOverHTTP: reading is for all people, of what they may see; profiles are nobody's from outside.
func TestPeopleOverHTTP(t *testing.T) {
	c := newCluster(t, nil)
	for _, o := range oneOfEach() {
		commit(t, c.store, put(o))
	}
	p := c.login(t, v1.RoleViewer, "anna")
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: p.keys.TLS()}, Timeout: soon}
	defer web.CloseIdleConnections()
	get := func(path string) (int, string) {
		r, err := web.Get("https://" + c.address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(body)
	}
	for path, want := range map[string]int{"/v1/services": 200, "/v1/services/x": 200, "/healthz": 200, "/v1/users/anna": 200, "/v1/users/x": 403,
		"/v1/tokens": 403, "/v1/tokens/x": 403, "/v1/tokens?watch=true": 403, "/debug/pprof/": 404, "/raft": 404, "/members": 404} {
		if code, body := get(path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if _, body := get("/v1/users"); !strings.Contains(body, `"anna"`) || strings.Contains(body, `"x"`) {
		t.Errorf("users: %s", body)
	}
	commit(t, c.store, store.Op{Verb: store.Delete, Key: meta.Key{Kind: "User", Name: "anna"}, Guard: store.Any})
	eventually(t, "anna is refused over HTTP", func() bool {
		r, err := web.Get("https://" + c.address + "/v1/services")
		if err != nil {
			return false // its connection was cut just then
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusForbidden
	})
}

// TestUserIsRemoved: what is open ends, and what is new is refused, on the connection that is there as on others.
func TestUserIsRemoved(t *testing.T) {
	c := newCluster(t, nil)
	p := c.login(t, v1.RoleAdmin, "anna")
	watch := p.Watch(t.Context(), 1)
	if b := <-watch; b.Err != nil {
		t.Fatal(b.Err)
	}
	if _, err := c.store.Commit(t.Context(), store.Op{Verb: store.Delete, Key: meta.Key{Kind: "User", Name: "anna"}, Guard: store.Any}); err != nil {
		t.Fatal(err)
	}
	for end := time.After(soon); ; {
		select {
		case b := <-watch:
			if b.Err == nil {
				continue
			}
		case <-end:
			t.Fatal("a watch of somebody who is no user any more goes on")
		}
		break
	}
	for _, s := range []*grpcstore.Store{p.Store, c.as(t, p.keys.TLS())} {
		if _, err := s.Info(t.Context()); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), "anna is no user of this cluster any more") {
			t.Errorf("a removed user: %v", err)
		}
	}
	csr, err := p.keys.Request()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Renew(t.Context(), csr); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("a removed user renews: %v", err)
	}
}

// TestRoleOfAUser: what counts is what the cluster says, not the certificate; from the next call on.
func TestRoleOfAUser(t *testing.T) {
	c := newCluster(t, nil)
	p := c.login(t, v1.RoleViewer, "anna")
	sets := func(role v1.Role) {
		o, err := c.store.Get(t.Context(), meta.Key{Kind: "User", Name: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		u := o.Clone().(*v1.User)
		u.Spec.Role = role
		commit(t, c.store, store.UpdateOp(u))
		eventually(t, "anna is "+string(role), func() bool {
			me, err := p.Whoami(t.Context())
			return err == nil && me.Role == string(role)
		})
	}
	write := func() error { _, err := p.Commit(t.Context(), put(aService("web"))); return err }
	if err := write(); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("as viewer: %v", err)
	}
	sets(v1.RoleOperator)
	if err := write(); err != nil {
		t.Errorf("as operator: %v", err)
	}
	sets(v1.RoleViewer)
	if err := write(); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("as viewer again: %v", err)
	}
}

// TestSecondLogin: a token that names a user who is there gives him another key and ends the old one; one that does not takes
// nobody's name.
func TestSecondLogin(t *testing.T) {
	c := newCluster(t, nil)
	first := c.login(t, v1.RoleOperator, "anna")
	if _, err := first.Info(t.Context()); !errors.Is(err, api.ErrNotServed) {
		t.Fatal(err)
	}
	second := c.login(t, v1.RoleViewer, "anna")
	eventually(t, "the old key is refused", func() bool {
		_, err := first.Info(t.Context())
		return errors.Is(err, store.ErrForbidden) && strings.Contains(err.Error(), "another key")
	})
	if me, err := second.Whoami(t.Context()); err != nil || me.Role != "viewer" {
		t.Errorf("%+v %v", me, err)
	}
	made, err := c.dial(t).CreateToken(t.Context(), grpcstore.TokenWish{Role: "admin", TTL: time.Hour, Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"anna": "there is a user", "admin": "the first manager", "": "does not say who you are", "A b": "the user's name"} {
		if _, err := c.tryLogin(t, made.Text, name); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := c.tryLogin(t, c.token, "bert"); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), "for a machine") {
		t.Errorf("a machine's token: %v", err)
	}
	if _, err := c.as(t, c.nobody(t)).Join(t.Context(), grpcstore.Joining{Token: made.Text, Name: "m2", CSR: csrOf(t, "m2", made.Text)}); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), "for a person") {
		t.Errorf("a person's token: %v", err)
	}
	if _, err := c.tryLogin(t, made.Text, "bert"); err != nil {
		t.Errorf("refusals used up the token: %v", err)
	}
	if _, err := c.tryLogin(t, made.Text, "carl"); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), "was used already") {
		t.Errorf("a token twice: %v", err)
	}
}

func csrOf(t *testing.T, name, text string) []byte {
	t.Helper()
	token, err := identity.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	a, err := identity.Apply(name, token.Pin)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := a.Request()
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// TestOperatorsMakeNoManagers: an operator cordons nodes, and decides not who keeps the store.
func TestOperatorsMakeNoManagers(t *testing.T) {
	c := newCluster(t, nil)
	p := c.login(t, v1.RoleOperator, "otto")
	change := func(s *grpcstore.Store, f func(*v1.Node)) error {
		o, err := s.Get(t.Context(), meta.Key{Kind: "Node", Name: "w1"})
		if err != nil {
			t.Fatal(err)
		}
		n := o.Clone().(*v1.Node)
		f(n)
		_, err = s.Commit(t.Context(), put(n))
		return err
	}
	if err := change(p.Store, func(n *v1.Node) { n.Spec.Unschedulable = true }); err != nil {
		t.Errorf("cordon: %v", err)
	}
	if err := change(p.Store, func(n *v1.Node) { n.Spec.Role = v1.RoleManager }); !errors.Is(err, store.ErrForbidden) || !strings.Contains(err.Error(), "takes the role admin") {
		t.Errorf("promote: %v", err)
	}
	if err := change(c.login(t, v1.RoleAdmin, "anna").Store, func(n *v1.Node) { n.Spec.Role = v1.RoleManager }); err != nil {
		t.Errorf("an administrator: %v", err)
	}
}

// TestUsersRenew: with the key that they have, and no other.
func TestUsersRenew(t *testing.T) {
	c := newCluster(t, nil)
	p := c.login(t, v1.RoleViewer, "anna")
	csr, err := p.keys.Request()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Renew(t.Context(), csr); err != nil {
		t.Fatal(err)
	}
	var cert []byte
	early, err := identity.OpenDesk(c.dir, c.members.mem, func() time.Time { return time.Now().Add(time.Hour) })
	if err == nil {
		cert, err = early.RenewUser(t.Context(), "anna", csr)
	}
	if err != nil {
		t.Fatal(err)
	}
	papers, err := p.keys.Renewed(cert)
	if err != nil {
		t.Fatal(err)
	}
	u, err := papers.Open()
	if err != nil || u.Name() != "anna" || u.Role() != v1.RoleViewer || u.Expires().Before(p.keys.Expires()) {
		t.Fatal(u, err)
	}
	if _, err := c.as(t, u.TLS()).Whoami(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.Renew(t.Context(), csrOf(t, "anna", c.token)); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("with another key: %v", err)
	}
}

// authors remembers who committed.
type authors struct {
	store.Store
	names chan string
}

func (a authors) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	a.names <- store.Author(ctx)
	return a.Store.Commit(ctx, ops...)
}

func TestCommitsAreSigned(t *testing.T) {
	names := make(chan string, 10)
	c := newCluster(t, func(cfg *Config) { cfg.Store = authors{cfg.Store, names} })
	config, err := identity.ClientConfig(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]*grpcstore.Store{"anna (operator)": c.login(t, v1.RoleOperator, "anna").Store, "bert (admin)": c.login(t, v1.RoleAdmin, "bert").Store,
		"key admin": c.as(t, config), "user ": c.dial(t)} {
		commit(t, s, put(aService("web")))
		if got := <-names; !strings.HasPrefix(got, want) {
			t.Errorf("%q signs as %q", want, got)
		}
	}
}
