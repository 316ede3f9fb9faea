package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// proven are the flags that no script in e2e/node/testdata uses, and the test with a real node that shows what each does.
var proven = map[string]string{
	"run --data-dir":             "e2e/node/world_test.go:start",
	"run --run-dir":              "e2e/node/world_test.go:start",
	"run --node-name":            "e2e/node/world_test.go:start",
	"run --manifests":            "e2e/node/kiosk_test.go:TestKioskFollows",
	"run --containerd":           "e2e/node/containerd_test.go:TestContainerdOfSomebodyElse",
	"run --registry-credentials": "e2e/node/registry_test.go:TestRegistryCredentials",
	"run --registry-mirror":      "e2e/node/pull_test.go:TestMirrors",
	"run --pull-parallel":        "e2e/node/pull_test.go:TestPullLimits",
	"run --pull-rate":            "e2e/node/pull_test.go:TestPullLimits",
	// What it does with the file: TestAuthoritiesAndMirrors in runtime/host/containerd/registry.
	"run --registry-ca":            "e2e/node/pull_test.go:TestRegistryFlagsAreChecked",
	"run --metrics-listen":         "e2e/node/api_test.go:TestHTTP",
	"run --pprof":                  "e2e/node/debug_test.go:TestPprof",
	"run --images":                 "e2e/node/images_test.go:TestKioskWithoutNetwork",
	"run --image-gc-high":          "e2e/node/images_test.go:TestImageCollection",
	"run --image-gc-low":           "e2e/node/images_test.go:TestImageCollection",
	"run --image-gc-min-age":       "e2e/node/images_test.go:TestImageCollection",
	"run --backup-dir":             "e2e/node/backup_test.go:TestScheduledBackups",
	"run --backup-every":           "e2e/node/backup_test.go:TestScheduledBackups",
	"run --backup-keep":            "e2e/node/backup_test.go:TestScheduledBackups",
	"run --backup-passphrase-file": "e2e/node/backup_test.go:TestScheduledBackups",
	"recover --stop-unknown":       "e2e/node/backup_test.go:TestRecoverInPlace",
	"stop --tasks":                 "e2e/node/stop_test.go:TestStopTasks",
	"reset --containerd":           "e2e/node/containerd_test.go:TestContainerdOfSomebodyElse",
	"run --unlock-key-file":        "e2e/cluster/sealed_e2e_test.go:TestSealedAuthority",
	"run --advertise":              "e2e/cluster/cluster_e2e_test.go:TestAdvertise",
	"join":                         "e2e/cluster/cluster_e2e_test.go:TestWorkers",
	"join --token":                 "e2e/cluster/join_e2e_test.go:TestRefusedJoins",
}

// Every verb and flag of warren is used with a real node. Whoever adds one adds a script to e2e/node/testdata, or a test
// and its name to proven.
func TestEveryVerbAndFlagIsProven(t *testing.T) {
	used := usedInScripts(t)
	for _, c := range app().Commands {
		if !used[c.Name] && proven[c.Name] == "" {
			t.Errorf("%s: no script in e2e/node/testdata uses it", c.Name)
		}
		for _, f := range c.Flags {
			for _, n := range f.Names() {
				name := c.Name + " --" + n
				if c.Name == "join" && n != "token" {
					name = "run --" + n // join goes on as run does, with what it was given
				}
				file, function, _ := strings.Cut(proven[name], ":")
				text, err := os.ReadFile(filepath.Join("../..", file))
				switch {
				case used[name] && file != "":
					t.Errorf("%s: a script uses it; take it out of proven", name)
				case used[name]:
				case file == "":
					t.Errorf("%s: no script in e2e/node/testdata uses it, and no test is named in proven, covered_test.go", name)
				case err != nil || !strings.Contains(string(text), function+"(") || !strings.Contains(string(text), `"--`+n+`"`):
					t.Errorf("%s: %s does not show it (%v)", name, proven[name], err)
				}
			}
		}
	}
}

// usedInScripts are the verbs and flags in the lines "warren VERB FLAGS" and "starts FLAGS", which is warren run, that are not
// about being refused.
func usedInScripts(t *testing.T) map[string]bool {
	used := map[string]bool{}
	scripts, err := filepath.Glob("../../e2e/node/testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts: ", err)
	}
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(text)) {
			words := strings.Fields(l)
			switch at := slices.Index(words, "warren"); {
			case len(words) > 0 && words[0] == "starts":
				words = append([]string{"run"}, words[1:]...)
			case at == 0 && len(words) > 1:
				words = words[1:]
			default:
				continue
			}
			used[words[0]] = true
			for _, w := range words[1:] {
				name, _, _ := strings.Cut(w, "=")
				used[words[0]+" "+name] = true
			}
		}
	}
	return used
}
