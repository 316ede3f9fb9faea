// Command mutants breaks Warren on purpose, one error at a time, and demands that the simulation notices each. Sources are
// replaced through the build's overlay: the tree is never touched. `go run ./hack/mutants [word]` tries only those whose
// name contains the word.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// verdict is what became of one mutant.
type verdict struct {
	ok   bool
	text string
	took time.Duration
}

// atOnce is how many mutants are tried side by side: each builds and runs on about one processor.
const atOnce = 2

func main() {
	word := strings.Join(os.Args[1:], " ")
	var chosen []mutant
	for _, m := range mutants {
		if strings.Contains(m.name, word) {
			chosen = append(chosen, m)
		}
	}
	if err := run(chosen); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(chosen []mutant) error {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if v := try(dir, -1, mutant{name: "no error", test: "(Seeds|Update|Partition)"}); v.ok {
		return fmt.Errorf("the simulation fails without any mutant: %s", v.text)
	}
	bad := 0
	for i, v := range tryAll(dir, chosen) {
		word := "caught"
		if !v.ok {
			word = "NOT CAUGHT"
			bad++
		}
		fmt.Printf("%-10s %4.1fs  %s: %s\n", word, v.took.Seconds(), chosen[i].name, v.text)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d deliberate errors were not caught", bad, len(chosen))
	}
	fmt.Printf("all %d deliberate errors were caught\n", len(chosen))
	return nil
}

// tryAll keeps the order of the table in its results.
func tryAll(dir string, chosen []mutant) []verdict {
	out := make([]verdict, len(chosen))
	free := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, m := range chosen {
		free <- struct{}{}
		all.Go(func() {
			out[i] = try(dir, i, m)
			<-free
		})
	}
	all.Wait()
	return out
}

// try builds and runs the simulation with one error in it.
func try(dir string, i int, m mutant) verdict {
	args := []string{"test", "-count=1", "-vet=off", "-timeout=90s", "-run", "^Test" + m.test}
	if m.file != "" {
		overlay, err := write(dir, i, m)
		if err != nil {
			return verdict{text: err.Error()}
		}
		args = append(args, "-overlay", overlay)
	}
	began := time.Now()
	cmd := exec.Command("go", append(args, "./runtime/sim")...)
	cmd.Env = append(os.Environ(), "SEED=", "SEEDS=40")
	output, err := cmd.CombinedOutput()
	v := judge(string(output), err)
	v.took = time.Since(began)
	return v
}

// write makes the broken copy of a file and the overlay that puts it in the place of the original.
func write(dir string, i int, m mutant) (string, error) {
	data, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(data), m.old); n != 1 {
		return "", fmt.Errorf("%s: the text to replace occurs %d times, not once", m.file, n)
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	broken := filepath.Join(dir, fmt.Sprintf("%d.go", i))
	if err := os.WriteFile(broken, []byte(strings.Replace(string(data), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: broken}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%d.json", i))
	return path, os.WriteFile(path, overlay, 0o600)
}

// judge reads what go test said. Only a test that failed counts: a mutant that does not compile is an error of the table.
func judge(output string, err error) verdict {
	switch {
	case err == nil:
		return verdict{text: "all tests pass"}
	case strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]"):
		return verdict{text: "does not compile:\n" + output}
	case strings.Contains(output, "panic: test timed out"):
		return verdict{ok: true, text: "does not end"}
	case strings.Contains(output, "panic: "):
		return verdict{text: "panics, which any test would notice:\n" + output}
	case strings.Contains(output, "--- FAIL: Test"):
		return verdict{ok: true, text: reason(output)}
	}
	return verdict{text: "no test failed, but: " + output}
}

// reason is the line with what the simulation found.
func reason(output string) string {
	for line := range strings.Lines(output) {
		if at, text, ok := strings.Cut(line, ": "); ok && strings.Contains(at, "_test.go:") {
			return strings.TrimSpace(text)
		}
	}
	return "failed"
}
