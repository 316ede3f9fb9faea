package identity

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

// Login makes somebody a user: it counts the use of the token and makes the User in one commit. A token that names the user may
// be for one who is there: then the old key ends. Who asks again with the same key, because the answer was lost, gets the
// certificate without another use.
func (d *Desk) Login(ctx context.Context, text, name string, csr []byte) (cert []byte, u *v1.User, err error) {
	token, err := ParseToken(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", store.ErrForbidden, err)
	}
	key, err := keyOf(csr)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: certificate request: %w", store.ErrForbidden, err)
	}
	if err := d.current(ctx); err != nil {
		return nil, nil, err
	}
	ctx = store.As(ctx, "token "+token.ID)
	for try := 0; ; try++ {
		u, err = d.enroll(ctx, token, name, key)
		if err == nil || try == attempts || !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, nil, err
	}
	cert, err = d.certificate(u.Metadata.Name, u.Spec.Role, key)
	return cert, u, err
}

// enroll looks at the token and at the name, and writes both down.
func (d *Desk) enroll(ctx context.Context, token Token, name string, key *ecdsa.PublicKey) (*v1.User, error) {
	t, err := d.token(ctx, token)
	if err != nil {
		return nil, err
	}
	if name, err = userOf(t, name); err != nil {
		return nil, err
	}
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	old, err := d.user(ctx, name)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, err
	case err == nil && old.Status.Identity == id:
		return old, nil
	case err == nil && t.Spec.User == "":
		return nil, fmt.Errorf("%w: there is a user %q in this cluster\ntry: --user and another name; or a token for that one, by warrenctl token create --user %s", store.ErrForbidden, name, name)
	}
	used, err := use(t)
	if err != nil {
		return nil, err
	}
	now := d.now().UTC()
	u, op := meta.New[v1.User](name), store.CreateOp
	u.Metadata.Created, u.Metadata.Generation = now, 1
	if old != nil {
		u, op = old.Clone().(*v1.User), store.UpdateOp
	}
	if u.Spec.Role != t.Spec.Role {
		u.Metadata.Generation++
	}
	u.Spec.Role, u.Status.Identity, u.Status.LoggedIn, u.Status.Signer = t.Spec.Role, id, now, pinOf(d.ca.cert.Raw)
	_, err = d.store.Commit(ctx, store.UpdateOp(used), op(u))
	return u, err
}

// userOf is who logs in by a token.
func userOf(t *v1.Token, name string) (string, error) {
	switch {
	case !t.Spec.Role.OfPeople():
		return "", fmt.Errorf("%w: token %s is for a machine that joins as %s, not for a person\ntry: warrenctl token create --role viewer", store.ErrForbidden, t.Metadata.Name, t.Spec.Role)
	case t.Spec.User != "" && name != "" && name != t.Spec.User:
		return "", fmt.Errorf("%w: token %s is for the user %q\ntry: the same without --user", store.ErrForbidden, t.Metadata.Name, t.Spec.User)
	case t.Spec.User != "":
		return t.Spec.User, nil
	case name == "":
		return "", fmt.Errorf("%w: token %s does not say who you are\ntry: the same with --user NAME", store.ErrForbidden, t.Metadata.Name)
	case name == v1.AdminName:
		return "", fmt.Errorf("%w: %q is the name of the key that the first manager made\ntry: --user and another name", store.ErrForbidden, name)
	}
	if why := meta.CheckName(name); why != "" {
		return "", fmt.Errorf("%w: the user's name %s", store.ErrForbidden, why)
	}
	return name, nil
}

func (d *Desk) user(ctx context.Context, name string) (*v1.User, error) {
	o, err := d.store.Get(ctx, meta.Key{Kind: v1.UserKind.Name, Name: name})
	if err != nil {
		return nil, err
	}
	return o.(*v1.User), nil
}

// RenewUser makes a new certificate for a user who has shown one, for the key that he logged in with.
func (d *Desk) RenewUser(ctx context.Context, name string, csr []byte) ([]byte, error) {
	key, err := keyOf(csr)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate request: %w", store.ErrForbidden, err)
	}
	if err := d.current(ctx); err != nil {
		return nil, err
	}
	u, err := d.user(ctx, name)
	if err != nil {
		return nil, err
	}
	if id, err := keyID(key); err != nil || u.Status.Identity != id {
		return nil, fmt.Errorf("%w: renew certificate of user %s: it is not the key that he logged in with", store.ErrForbidden, name)
	}
	cert, err := d.certificate(name, u.Spec.Role, key)
	if err != nil {
		return nil, err
	}
	if signer := pinOf(d.ca.cert.Raw); u.Status.Signer != signer {
		next := u.Clone().(*v1.User)
		next.Status.Signer = signer
		if _, err := d.store.Commit(ctx, store.UpdateOp(next)); err != nil {
			return nil, err
		}
	}
	return cert, nil
}
