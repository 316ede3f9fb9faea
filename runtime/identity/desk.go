package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Desk is where a manager makes tokens and admits machines that bring one.
type Desk struct {
	ca    pair
	dir   string
	store store.Store
	now   func() time.Time
}

// OpenDesk opens the desk of the authority in dir, over the store below admission.
func OpenDesk(dir string, s store.Store, now func() time.Time) (*Desk, error) {
	ca, err := authority(dir)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	return &Desk{ca: ca, dir: dir, store: s, now: now}, nil
}

// CreateToken stores a new token and returns its text, which is not kept.
func (d *Desk) CreateToken(ctx context.Context, role v1.Role, ttl time.Duration, uses int) (text string, t *v1.Token, err error) {
	return d.CreateTokenFor(ctx, "", role, ttl, uses)
}

// CreateTokenFor does the same for one by which this user logs in.
func (d *Desk) CreateTokenFor(ctx context.Context, user string, role v1.Role, ttl time.Duration, uses int) (text string, t *v1.Token, err error) {
	token := NewToken(pinOf(d.ca.cert.Raw))
	t = meta.New[v1.Token](token.ID)
	now := d.now().UTC()
	t.Spec = v1.TokenSpec{Role: role, User: user, Hash: token.Hash(), Expires: now.Add(ttl).Truncate(time.Second), Uses: uses}
	t.Metadata.Created, t.Metadata.Generation = now, 1
	var p meta.Problems
	if t.Validate(&p); ttl < time.Minute || ttl > v1.MaxTokenTTL {
		p.Add("ttl", "must be 1m to %s, not %s", v1.MaxTokenTTL, ttl)
	}
	if err := p.Err(); err != nil {
		return "", nil, fmt.Errorf("create token: %w", err)
	}
	if _, err := d.store.Commit(ctx, store.CreateOp(t)); err != nil {
		return "", nil, fmt.Errorf("create token: %w", err)
	}
	return token.String(), t, nil
}

// attempts to count a use of a token that others use at the same moment.
const attempts = 20

// Join admits a machine as a node: it counts the use of the token and makes the Node in one commit. Who asks again with the
// same key, because the answer was lost, gets its certificate without another use.
func (d *Desk) Join(ctx context.Context, text, name, address string, csr []byte) (cert []byte, role v1.Role, err error) {
	token, err := ParseToken(text)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", store.ErrForbidden, err)
	}
	if why := meta.CheckName(name); why != "" {
		return nil, "", fmt.Errorf("%w: node name %s", store.ErrForbidden, why)
	}
	key, err := keyOf(csr)
	if err != nil {
		return nil, "", fmt.Errorf("%w: certificate request: %w", store.ErrForbidden, err)
	}
	if err := d.current(ctx); err != nil {
		return nil, "", err
	}
	for try := 0; ; try++ {
		role, err = d.admit(ctx, token, name, address, key)
		if err == nil || try == attempts || !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, "", err
	}
	cert, err = d.certificate(name, role, key)
	return cert, role, err
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format+"\ntry: a new one, by warrenctl token create at a manager", append([]any{store.ErrForbidden}, args...)...)
}

// admit looks at the token and at the name, and writes both down.
func (d *Desk) admit(ctx context.Context, token Token, name, address string, key *ecdsa.PublicKey) (v1.Role, error) {
	t, err := d.token(ctx, token)
	if err != nil {
		return "", err
	}
	if t.Spec.Role.OfPeople() {
		return "", fmt.Errorf("%w: token %s is for a person, not for a machine\ntry: warrenctl login HOST:PORT --token TOKEN", store.ErrForbidden, token.ID)
	}
	if t.Spec.Role == v1.RoleManager && address == "" {
		return "", fmt.Errorf("%w: a manager needs an address at which the others reach it\ntry: the same with --listen HOST:PORT", store.ErrForbidden)
	}
	id, err := keyID(key)
	if err != nil {
		return "", err
	}
	o, err := d.store.Get(ctx, meta.Key{Kind: v1.NodeKind.Name, Name: name})
	switch {
	case err == nil && o.(*v1.Node).Status.Identity == id:
		return t.Spec.Role, nil
	case err == nil:
		return "", fmt.Errorf("%w: the node name %q is taken in this cluster\ntry: the same with --node-name and another name", store.ErrForbidden, name)
	case !errors.Is(err, store.ErrNotFound):
		return "", err
	}
	used, err := use(t)
	if err != nil {
		return "", err
	}
	n := meta.New[v1.Node](name)
	n.Metadata.Created, n.Metadata.Generation = d.now().UTC(), 1
	n.Status.Identity, n.Spec.Role = id, t.Spec.Role // its status a node writes itself, and could make itself a manager by
	_, err = d.store.Commit(ctx, store.UpdateOp(used), store.CreateOp(n))
	return t.Spec.Role, err
}

// use counts one.
func use(t *v1.Token) (*v1.Token, error) {
	if t.Status.Used >= t.Spec.Uses {
		return nil, refused("token %s was used already, %d of %d times", t.Metadata.Name, t.Status.Used, t.Spec.Uses)
	}
	used := t.Clone().(*v1.Token)
	used.Status.Used++
	return used, nil
}

func (d *Desk) token(ctx context.Context, token Token) (*v1.Token, error) {
	if believed, err := readAuthorities(d.dir); err != nil || !slices.Contains(v1.Pins(textOf(believed)), token.Pin) {
		return nil, refused("the token is of another cluster, or of an authority that was replaced")
	}
	o, err := d.store.Get(ctx, meta.Key{Kind: v1.TokenKind.Name, Name: token.ID})
	if errors.Is(err, store.ErrNotFound) {
		return nil, refused("token %s does not exist: it was revoked, or has expired long ago", token.ID)
	}
	if err != nil {
		return nil, err
	}
	t := o.(*v1.Token)
	if !token.fits(t.Spec.Hash) {
		return nil, refused("token %s has another secret", token.ID)
	}
	if !d.now().Before(t.Spec.Expires) {
		return nil, refused("token %s has expired at %s", token.ID, t.Spec.Expires.UTC().Format(time.RFC3339))
	}
	return t, nil
}

// Renew makes a new certificate for a node that has shown one, for the key that it joined with and the role that it shall have.
func (d *Desk) Renew(ctx context.Context, name string, csr []byte) (cert []byte, role v1.Role, err error) {
	key, err := keyOf(csr)
	if err != nil {
		return nil, "", fmt.Errorf("%w: certificate request: %w", store.ErrForbidden, err)
	}
	if err := d.current(ctx); err != nil {
		return nil, "", err
	}
	o, err := d.store.Get(ctx, meta.Key{Kind: v1.NodeKind.Name, Name: name})
	if err != nil {
		return nil, "", err
	}
	n := o.(*v1.Node)
	if id, err := keyID(key); err != nil || n.Status.Identity != id {
		return nil, "", fmt.Errorf("%w: renew certificate of node %s: it is not the key that it joined with", store.ErrForbidden, name)
	}
	if role = v1.RoleWorker; n.Spec.Role == v1.RoleManager {
		role = v1.RoleManager
	}
	cert, err = d.certificate(name, role, key)
	return cert, role, err
}

// Key is what a new manager needs to open the authority.
func (d *Desk) Key() ([]byte, error) { return bundled(d.dir) }

// current refuses to sign while another authority signs in the cluster than here: this manager has not heard of it yet.
func (d *Desk) current(ctx context.Context) error {
	o, err := d.store.Get(ctx, meta.Key{Kind: v1.AuthorityKind.Name, Name: v1.AuthorityName})
	if errors.Is(err, store.ErrNotFound) {
		return nil // it is still to be sealed
	}
	if err != nil {
		return err
	}
	if signs := v1.Pins(o.(*v1.Authority).Spec.Certificate); len(signs) > 0 && signs[0] != pinOf(d.ca.cert.Raw) {
		err = fmt.Errorf("%w: the authority is just being replaced", store.ErrUnavailable)
	}
	return err
}

func (d *Desk) certificate(name string, role v1.Role, key *ecdsa.PublicKey) ([]byte, error) {
	c, err := sign(d.ca, nodeTemplate(name, role, d.now()), key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	return c.Raw, system.keep(d.dir)
}

// keyOf reads a certificate request, which proves that whoever made it has the key.
func keyOf(csr []byte) (*ecdsa.PublicKey, error) {
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, err
	}
	if err := r.CheckSignature(); err != nil {
		return nil, err
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not ECDSA P-256")
	}
	return key, nil
}
