package registry

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/distribution/reference"
)

// Mirror is a server that has what a registry has.
type Mirror struct {
	Registry string // host[:port] as registryOf says it
	URL      url.URL
}

// ParseMirror reads REGISTRY=URL, like docker.io=https://mirror.example:5000.
func ParseMirror(text string) (Mirror, error) {
	name, where, ok := strings.Cut(text, "=")
	if !ok || name == "" || where == "" {
		return Mirror{}, fmt.Errorf("%q: write REGISTRY=URL, like docker.io=https://mirror.example:5000", text)
	}
	named, err := reference.ParseNamed(name + "/x/x")
	if err != nil || reference.Domain(named) != name {
		return Mirror{}, fmt.Errorf("%q: %q is not the name of a registry, like docker.io or registry.example:5000", text, name)
	}
	u, err := url.Parse(where)
	switch {
	case err != nil:
		return Mirror{}, fmt.Errorf("%q: %q is not a URL", text, where)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Hostname() == "":
		return Mirror{}, fmt.Errorf("%q: the URL must begin with https://HOST or http://HOST", text)
	case u.User != nil:
		return Mirror{}, fmt.Errorf("the URL for %s has a login in it; put that into the file of --registry-credentials", name)
	case u.RawQuery != "" || u.Fragment != "":
		return Mirror{}, fmt.Errorf("%q: the URL may have a path, but nothing after it", text)
	}
	return Mirror{Registry: registryOf(name), URL: url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}}, nil
}
