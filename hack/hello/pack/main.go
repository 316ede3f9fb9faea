// Command pack builds the demo web server and packs it into an image archive by itself, without Docker and without a network.
//
//	pack [-o FILE] [-tag NAME:TAG] [-platform linux/ARCH] [-docker]
//
// The same source gives the same bytes: files carry no time and no owner of the building machine, so the image keeps its digest.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	out := flag.String("o", ".build/hello.tar", "archive to write")
	tag := flag.String("tag", "warren.io/hello:1", "name of the image")
	platform := flag.String("platform", "linux/"+runtime.GOARCH, "what the image is for")
	docker := flag.Bool("docker", false, "write an archive as docker save does, instead of an OCI layout")
	flag.Parse()
	if err := run(*out, *tag, *platform, *docker); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(out, tag, platform string, docker bool) error {
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("platform %q: linux/ARCH is needed", platform)
	}
	if !strings.Contains(tag, ":") {
		return fmt.Errorf("tag %q: NAME:TAG is needed", tag)
	}
	program, err := build(system, arch)
	if err != nil {
		return fmt.Errorf("build hello for %s: %w", platform, err)
	}
	img, err := newImage(program, spec.Platform{OS: system, Architecture: arch})
	if err != nil {
		return err
	}
	write := img.layout
	if docker {
		write = img.docker
	}
	data, err := write(tag)
	if err != nil {
		return err
	}
	if err := replace(out, data); err != nil {
		return err
	}
	id := img.manifest.descriptor.Digest
	if docker {
		id = img.config.descriptor.Digest // such an archive has no manifest; this is what docker calls the image id
	}
	fmt.Printf("%s: %s %s %s, %d bytes\n", out, tag, platform, id, len(data))
	return nil
}

// build returns the program as a static binary.
func build(system, arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "hello-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "hello")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", path, "warren.io/warren/hack/hello")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// replace never leaves half an archive behind.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
