package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// Bounds of a credential helper.
const (
	helperPatience = 10 * time.Second
	helperOutput   = 64 << 10
)

var helperName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// ask runs docker-credential-NAME get. It answers with a login; known is false if the helper has none for this registry.
// What a helper prints is a secret and gets into no error.
func ask(name, registry string) (user, secret string, known bool, err error) {
	program := "docker-credential-" + name
	if !helperName.MatchString(name) {
		return "", "", false, fmt.Errorf("read registry credentials: %q is not the name of a credential helper", name)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", "", false, fmt.Errorf("read registry credentials: the helper %s for %s is not installed in PATH (%s)", program, registry, os.Getenv("PATH"))
	}
	out, err := runHelper(path, serverURL(registry))
	if strings.Contains(string(out), "credentials not found") {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, fmt.Errorf("read registry credentials: %s get for %s: %w", program, registry, err)
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal(out, &answer) != nil || answer.Secret == "" {
		return "", "", false, fmt.Errorf("read registry credentials: %s get for %s: the answer is no login", program, registry)
	}
	if answer.Username == "<token>" {
		answer.Username = ""
	}
	return answer.Username, answer.Secret, true, nil
}

// serverURL is what docker stores a registry's login under.
func serverURL(registry string) string {
	if registry == dockerHub {
		return "https://" + dockerHub + "/v1/"
	}
	return registry
}

func runHelper(path, registry string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helperPatience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.Stdin, cmd.Stdout = strings.NewReader(registry), &bounded{&out, helperOutput}
	cmd.WaitDelay = time.Second // a child of its own may hold the output open
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer within %s", helperPatience)
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil
	}
	return out.Bytes(), err
}

// bounded takes so much and drops the rest.
type bounded struct {
	to   *bytes.Buffer
	room int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.room -= n
	b.to.Write(p[:n])
	return len(p), nil
}
