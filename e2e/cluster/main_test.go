//go:build e2e

// Package cluster proves several machines as people meet them: the real binaries on hosts of the test bench, with real
// containers, joined by the commands of `warrenctl help cluster`.
package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Copies of what was built, so that a build meanwhile does not change what is tested.
var warren, warrenctl, helloTar string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "warren-e2e-")
	if err == nil {
		err = takeBinaries(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "take what was built:", err, "(try: make build hello)")
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func takeBinaries(dir string) error {
	warren, warrenctl, helloTar = filepath.Join(dir, "warren"), filepath.Join(dir, "warrenctl"), filepath.Join(dir, "hello.tar")
	bin := os.Getenv("WARREN_BIN")
	if bin == "" {
		bin = "../../bin/warren"
	}
	if err := copyFile(bin, warren); err != nil {
		return err
	}
	if err := copyFile("../../.build/hello.tar", helloTar); err != nil {
		return err
	}
	return os.Symlink("warren", warrenctl)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
