package identity

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// talk opens a connection and says whether a byte came through.
func talk(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("x"))
			_ = c.Close()
		}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client = client.Clone()
	client.ServerName = "127.0.0.1"
	c := tls.Client(raw, client)
	defer c.Close()
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

func configs(t *testing.T, dir string) (server, client *tls.Config) {
	t.Helper()
	server, err := ServerConfig(dir, "n1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	client, err = ClientConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestBothSidesMustKnowEachOther(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	server, client := configs(t, dir)
	_, stranger := configs(t, other)
	if err := talk(t, server, client); err != nil {
		t.Errorf("the administrator is refused: %v", err)
	}
	if err := talk(t, server, stranger); err == nil {
		t.Error("an administrator of another cluster is let in")
	}
	mixed := stranger.Clone()
	mixed.RootCAs = client.RootCAs
	if err := talk(t, server, mixed); err == nil {
		t.Error("a certificate of another authority is let in")
	}
	nobody := client.Clone()
	nobody.Certificates = nil
	if err := talk(t, server, nobody); err != nil {
		t.Errorf("somebody without a certificate cannot ask to join: %v", err)
	}
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if err := talk(t, server, old); err == nil {
		t.Error("TLS 1.2 is let in")
	}
}

func TestKeysStayAndArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	_, client := configs(t, dir)
	again, _ := configs(t, dir) // the next start
	if err := talk(t, again, client); err != nil {
		t.Errorf("after a restart the administrator's key does not work: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 6 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", f.Name(), i.Mode(), err)
		}
	}
}

func TestDamagedKeysAreNamed(t *testing.T) {
	dir := t.TempDir()
	configs(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ServerConfig(dir, "n1", "127.0.0.1"); err == nil {
		t.Fatal("a damaged authority was accepted or replaced")
	}
	if _, err := ClientConfig(t.TempDir()); err == nil {
		t.Fatal("an empty directory is no administrator")
	}
}

func TestAuthorityIsNotReplacedSilently(t *testing.T) {
	dir := t.TempDir()
	configs(t, dir)
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := ServerConfig(dir, "n1", "127.0.0.1"); err == nil {
		t.Fatal("a new authority was made beside the old certificate")
	}
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	if _, err := ServerConfig(dir, "n1", "127.0.0.1"); err != nil {
		t.Fatalf("nothing is left of the old one, and no new one is made: %v", err)
	}
}
