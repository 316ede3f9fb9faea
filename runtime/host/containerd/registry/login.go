package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

// login finds user and secret for a registry's host name. No user and a secret is an identity token.
func (s *Source) login(hostname string) (user, secret string, err error) {
	if s.config.Credentials == "" {
		return "", "", nil
	}
	data, err := os.ReadFile(s.config.Credentials)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil // nobody has logged in yet
	}
	if err != nil {
		return "", "", fmt.Errorf("read registry credentials: %w", err)
	}
	return readLogin(data, hostname)
}

// logins is what is used of a docker config.json.
type logins struct {
	Auths       map[string]auth
	CredHelpers map[string]string
	CredsStore  string
}

type auth struct {
	Auth, Username, Password, IdentityToken string
}

// readLogin looks for a registry in a docker config.json, as docker does: a helper of its own, then the helper for all, then
// what is in the file itself.
func readLogin(data []byte, hostname string) (user, secret string, err error) {
	var file logins
	if err := json.Unmarshal(data, &file); err != nil {
		// Not wrapped: the error might quote the file, which holds secrets.
		return "", "", errors.New("read registry credentials: the file is not valid JSON")
	}
	registry := registryOf(hostname)
	for key, helper := range file.CredHelpers {
		if registryOf(key) == registry {
			user, secret, _, err = ask(helper, registry)
			return user, secret, err
		}
	}
	if file.CredsStore != "" {
		user, secret, known, err := ask(file.CredsStore, registry)
		if err != nil || known {
			return user, secret, err
		}
	}
	for key, a := range file.Auths {
		if registryOf(key) == registry {
			return a.open()
		}
	}
	return "", "", nil
}

func (a auth) open() (user, secret string, err error) {
	if a.IdentityToken != "" {
		return "", a.IdentityToken, nil
	}
	if a.Auth == "" {
		return a.Username, a.Password, nil
	}
	text, err := base64.StdEncoding.DecodeString(a.Auth)
	user, secret, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return "", "", errors.New("read registry credentials: an auth entry is not base64 of user:password")
	}
	return user, strings.TrimRight(secret, "\x00"), nil
}

const dockerHub = "index.docker.io"

// registryOf reduces the forms in which config.json names a registry to host[:port].
func registryOf(key string) string {
	if u, err := url.Parse(key); err == nil && u.Host != "" {
		key = u.Host
	}
	key, _, _ = strings.Cut(key, "/")
	switch key {
	case "docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return key
}
