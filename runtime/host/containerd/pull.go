package containerd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// flight is one pull that any number of tasks wait for.
type flight struct {
	done    chan struct{}
	img     *image
	err     error
	waiting int
	cancel  context.CancelFunc
}

// pull fetches an image from its registry. Callers that want the same one share the work; it ends when the last gives up.
func (s *imageStore) pull(ctx context.Context, ref, pinned string) (*image, error) {
	name, err := imageName(ref, pinned)
	if err != nil {
		return nil, err
	}
	f := s.join(ctx, name)
	defer s.leave(name, f)
	select {
	case <-f.done:
		return f.img, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *imageStore) join(ctx context.Context, name string) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[name]
	if f == nil {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{done: make(chan struct{}), cancel: cancel}
		s.flights[name] = f
		s.work.Go(func() {
			since := time.Now()
			f.img, f.err = s.fetch(work, name)
			s.tell(pulled(f.err, since))
			close(f.done)
		})
	}
	f.waiting++
	return f
}

func (s *imageStore) leave(name string, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting > 0 {
		return
	}
	f.cancel()
	if s.flights[name] == f {
		delete(s.flights, name)
	}
}

// fetch pulls and unpacks this machine's variant of name.
func (s *imageStore) fetch(ctx context.Context, name string) (*image, error) {
	ctx, done, err := s.client.WithLease(ctx) // so that the index can still be read when nothing in it fits
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", name, err)
	}
	defer func() { _ = done(context.WithoutCancel(ctx)) }()
	resolver := s.resolver()
	pulled, err := s.client.Pull(ctx, name, client.WithResolver(resolver), client.WithPlatformMatcher(s.platform),
		client.WithPullUnpack, client.WithPullSnapshotter(snapshotter))
	if err == nil {
		return s.ready(ctx, pulled.Metadata())
	}
	return nil, s.whyNot(ctx, resolver, name, err)
}

// whyNot looks whether a pull failed because the image was not made for this machine.
func (s *imageStore) whyNot(ctx context.Context, resolver remotes.Resolver, name string, cause error) error {
	cause = fmt.Errorf("pull %s: %w", name, cause)
	var unreachable *url.Error
	if ctx.Err() != nil || errors.As(cause, &unreachable) || errors.Is(cause, errNoAnswer) {
		return cause
	}
	_, target, err := resolver.Resolve(ctx, name)
	if err != nil {
		return cause
	}
	var other *platformError
	err = s.explain(ctx, name, target, host.ErrNotFound)
	if _, e := images.Manifest(ctx, s.client.ContentStore(), target, s.platform); e != nil {
		err = s.explain(ctx, name, target, e)
	}
	if errors.As(err, &other) {
		return other
	}
	return cause
}

// resolver speaks to registries: HTTPS, but plain HTTP to this machine itself, with the credentials as they are now.
func (s *imageStore) resolver() remotes.Resolver {
	auth := docker.NewDockerAuthorizer(docker.WithAuthCreds(s.login))
	return counting{patient{docker.NewResolver(docker.ResolverOptions{
		Hosts: docker.ConfigureDefaultRegistries(
			docker.WithAuthorizer(auth), docker.WithPlainHTTP(docker.MatchLocalhost)),
	})}, s.tell}
}

// errNoAnswer means that a registry said nothing at all, as when packets vanish on the way.
var errNoAnswer = errors.New("the registry does not answer")

// resolvePatience is how long a registry may take to say what a name means. Content may take as long as it takes.
const resolvePatience = 15 * time.Second

// patient is a resolver that gives up, so that people are told what their task waits for.
type patient struct{ remotes.Resolver }

// Resolve implements remotes.Resolver.
func (p patient) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	limited, cancel := context.WithTimeout(ctx, resolvePatience)
	defer cancel()
	name, target, err := p.Resolver.Resolve(limited, ref)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w within %s: %v", errNoAnswer, resolvePatience, err)
	}
	return name, target, err
}

// login finds user and secret for a registry's host name. No user and a secret is an identity token.
func (s *imageStore) login(hostname string) (user, secret string, err error) {
	if s.credentials == "" {
		return "", "", nil
	}
	data, err := os.ReadFile(s.credentials)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil // nobody has logged in yet
	}
	if err != nil {
		return "", "", fmt.Errorf("read registry credentials: %w", err)
	}
	return readLogin(data, hostname)
}

type login struct {
	Auth, Username, Password, IdentityToken string
}

// readLogin looks into the "auths" of a docker config.json.
func readLogin(data []byte, hostname string) (user, secret string, err error) {
	var file struct{ Auths map[string]login }
	if err := json.Unmarshal(data, &file); err != nil {
		// Not wrapped: the error might quote the file, which holds secrets.
		return "", "", errors.New("read registry credentials: the file is not valid JSON")
	}
	for key, l := range file.Auths {
		if registryOf(key) == registryOf(hostname) {
			return l.open()
		}
	}
	return "", "", nil
}

func (l login) open() (user, secret string, err error) {
	if l.IdentityToken != "" {
		return "", l.IdentityToken, nil
	}
	if l.Auth == "" {
		return l.Username, l.Password, nil
	}
	text, err := base64.StdEncoding.DecodeString(l.Auth)
	user, secret, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return "", "", errors.New("read registry credentials: an auth entry is not base64 of user:password")
	}
	return user, strings.TrimRight(secret, "\x00"), nil
}

// registryOf reduces the forms in which config.json names a registry to host[:port].
func registryOf(key string) string {
	if u, err := url.Parse(key); err == nil && u.Host != "" {
		key = u.Host
	}
	key, _, _ = strings.Cut(key, "/")
	switch key {
	case "docker.io", "registry-1.docker.io":
		return "index.docker.io"
	}
	return key
}
