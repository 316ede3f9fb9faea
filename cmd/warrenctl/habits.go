package warrenctl

import (
	"slices"
	"strings"
)

// elsewhere are words for the same things that people bring along.
var elsewhere = map[string]string{
	"pod": "tasks", "pods": "tasks", "po": "tasks", "container": "tasks", "containers": "tasks",
	"deployment": "services", "deployments": "services", "deploy": "services", "daemonset": "services", "daemonsets": "services", "ds": "services",
	"statefulset": "services", "sts": "services", "replicaset": "services", "rs": "services", "stack": "services", "stacks": "services",
}

// near is what a word from elsewhere means, if that is one of the words here.
func near(word string, here []string) string {
	if means := elsewhere[strings.ToLower(word)]; slices.Contains(here, means) {
		return means
	}
	return ""
}

// verbsElsewhere are verbs that people bring along, and how the same is done here.
var verbsElsewhere = map[string]string{
	"cordon":        "warrenctl node cordon NAME",
	"uncordon":      "warrenctl node uncordon NAME",
	"drain":         "warrenctl node drain NAME",
	"rollout":       "warrenctl restart service/NAME --wait, or warrenctl wait service/NAME --for condition=Available",
	"run":           "warrenctl apply -f FILE; an example: warrenctl help start",
	"create":        "warrenctl apply -f FILE",
	"replace":       "warrenctl apply -f FILE",
	"patch":         "warrenctl edit service/NAME",
	"set":           "warrenctl edit service/NAME",
	"ps":            "warrenctl get tasks",
	"ls":            "warrenctl get all",
	"inspect":       "warrenctl describe KIND/NAME",
	"rm":            "warrenctl delete KIND/NAME",
	"stop":          "warrenctl scale service/NAME=0, or warrenctl delete service/NAME",
	"start":         "warrenctl scale service/NAME=1, or warrenctl apply -f FILE",
	"kill":          "warrenctl delete task/NAME, or warrenctl exec TASK -- kill ...",
	"attach":        "warrenctl logs -f TASK, or warrenctl exec -it TASK -- sh",
	"images":        "warrenctl get images",
	"pull":          "warrenctl image import FILE; what services name is pulled by itself",
	"stats":         "warrenctl top tasks",
	"cluster-info":  "warrenctl get nodes",
	"config":        "--server and --keys, or WARREN_SERVER and WARREN_KEYS",
	"api-resources": "warrenctl explain KIND; the kinds: warrenctl help get",
}

// absent are flags that people bring along, and why there are none of these.
var absent = map[string]string{
	"A": noNamespaces, "all-namespaces": noNamespaces, "n": noNamespaces, "namespace": noNamespaces,
	"c": noContainers, "container": noContainers, "all-containers": noContainers,
	"context": noContexts, "kubeconfig": noContexts,
	"R": allBelow, "recursive": allBelow,
	"f": "files are read by apply, diff and delete", "filename": "files are named with -f by apply, diff and delete",
	"v": ownVersion, "version": ownVersion, "client": ownVersion,
	"show-labels":  "write -o custom-columns=NAME:.metadata.name,LABELS:.metadata.labels",
	"grace-period": "a task is given the stopGracePeriod of its service",
	"cascade":      "the tasks of a service always go with it: leave it out",
	"now":          "a task is given the stopGracePeriod of its service",
}

const (
	noNamespaces = "there are no namespaces: leave it out"
	noContainers = "a task is one container: leave it out"
	noContexts   = "name a node by --server, or by WARREN_SERVER"
	allBelow     = "a directory is always read with all below it: leave it out"
	ownVersion   = "write warrenctl version"
)
