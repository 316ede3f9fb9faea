package registry

import (
	"strings"
	"testing"
)

func TestLogins(t *testing.T) {
	file := []byte(`{"auths": {
		"https://index.docker.io/v1/": {"auth": "dTpw"}, "r.example.org": {"username": "a", "password": "b:c"},
		"localhost:5000": {"auth": "eDp5Og=="}, "https://t.example.org": {"identitytoken": "tok"}, "bad.example.org": {"auth": "%%"}}}`)
	for at, want := range map[string][2]string{
		"registry-1.docker.io": {"u", "p"}, "r.example.org": {"a", "b:c"}, "localhost:5000": {"x", "y:"},
		"t.example.org": {"", "tok"}, "other.example.org": {"", ""},
	} {
		user, secret, err := readLogin(file, at)
		if err != nil || user != want[0] || secret != want[1] {
			t.Errorf("%s: %q %q %v", at, user, secret, err)
		}
	}
	if _, _, err := readLogin(file, "bad.example.org"); err == nil {
		t.Error("bad auth was accepted")
	}
	if _, _, err := readLogin([]byte(`{"auths": "hunter2"`), "x"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
