package v1

import (
	"fmt"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Service is a container image that runs a number of times.
type Service = meta.Resource[ServiceSpec, ServiceStatus]

// ServiceMode says how the number of tasks follows.
type ServiceMode string

// The service modes.
const (
	Replicated ServiceMode = "Replicated" // spec.replicas tasks anywhere
	Global     ServiceMode = "Global"     // one task on every node
)

// ServiceSpec is what the user wants to run.
type ServiceSpec struct {
	TaskTemplate
	// Replicas is the number of tasks in mode Replicated. Default 1.
	Replicas *int `json:"replicas,omitempty"`
	// Mode is Replicated or Global. Default Replicated.
	Mode ServiceMode `json:"mode,omitempty"`
	// NodeLoss says what becomes of tasks on a node that is down. Left out: they are replaced at once.
	NodeLoss *NodeLoss `json:"nodeLoss,omitempty"`
}

// NodeLoss says what becomes of tasks on a node that is down. Those of global services belong to it and always wait.
type NodeLoss struct {
	// After is how long the node must have been down before tasks are replaced, beside the cluster's own downAfter. Default 0s.
	After meta.Duration `json:"after,omitempty"`
	// Action is Reschedule or Keep. Default Reschedule.
	Action LossAction `json:"action,omitempty"`
}

// LossAction is what becomes of a task on a node that is down.
type LossAction string

// The actions after the loss of a node.
const (
	Reschedule LossAction = "Reschedule" // it is replaced on another node
	Keep       LossAction = "Keep"       // it waits for the node, until that is removed or drained
)

// ServiceStatus is written by the reconciler only.
type ServiceStatus struct {
	// ObservedGeneration is that of the spec which this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Desired is the number of tasks that shall run, Tasks how many there are, Updated how many of those have the current
	// template, Ready how many run now.
	Desired int `json:"desired"`
	Tasks   int `json:"tasks"`
	Updated int `json:"updated"`
	Ready   int `json:"ready"`
	// Count is the number in the name of the newest task: names are never used twice.
	Count int64 `json:"count,omitempty"`
	// Image is what spec.image resolved to for the current template.
	Image ServiceImage `json:"image,omitzero"`
	// PreviousImages are the digests of the images that earlier templates ran, the latest first, at most 2. Nodes keep them, so
	// that going back needs no registry.
	PreviousImages []string `json:"previousImages,omitempty"`
	// Conditions: Available while all tasks are ready, Updated when all have the current template.
	Conditions meta.Conditions `json:"conditions,omitempty"`
}

// KeptImages is how many earlier images of a service are remembered.
const KeptImages = 2

// ServiceImage pins an image for all tasks of one template.
type ServiceImage struct {
	// Template is the hash of the template that it was resolved for.
	Template string `json:"template"`
	// Digest is what the image's tag meant then.
	Digest string `json:"digest,omitempty"`
	// Platforms are those that the image is made for, e.g. linux/amd64.
	Platforms []string `json:"platforms,omitempty"`
}

// Conditions of a Service.
const (
	// ConditionAvailable is True while all desired tasks are ready.
	ConditionAvailable = "Available"
	// ConditionUpdated is True when all tasks run the current template.
	ConditionUpdated = "Updated"
)

// Kind implements meta.Spec.
func (*ServiceSpec) Kind() string { return "Service" }

// MaxServiceName leaves room for slot and count in the names of tasks.
const MaxServiceName = 40

// CheckName implements meta.Named: a service's name is one label of a DNS name.
func (*ServiceSpec) CheckName(name string) string {
	switch {
	case len(name) > MaxServiceName:
		return fmt.Sprintf("is %d characters long; a service's name has at most %d", len(name), MaxServiceName)
	case strings.Contains(name, "."):
		return fmt.Sprintf("%q contains a '.'; a service's name is letters, digits and '-'", name)
	}
	return ""
}

// Default implements meta.Spec.
func (s *ServiceSpec) Default() {
	s.TaskTemplate.Default()
	if s.Mode == "" {
		s.Mode = Replicated
	}
	if s.Mode == Replicated && s.Replicas == nil {
		one := 1
		s.Replicas = &one
	}
	if s.NodeLoss != nil && s.NodeLoss.Action == "" {
		s.NodeLoss.Action = Reschedule
	}
}

// Validate implements meta.Spec.
func (s *ServiceSpec) Validate(p *meta.Problems, at string) {
	s.TaskTemplate.Validate(p, at)
	modes := []string{string(Replicated), string(Global)}
	if !contains(modes, string(s.Mode)) {
		p.Add(at+".mode", "%s", oneOf(string(s.Mode), modes))
	}
	s.checkLoss(p, at+".nodeLoss")
	if s.Replicas == nil {
		return
	}
	switch n := *s.Replicas; {
	case s.Mode == Global:
		p.Add(at+".replicas", "has no meaning with mode Global, which runs one task on every node; leave it out")
	case n < 0 || n > MaxReplicas:
		p.Add(at+".replicas", "%d is out of range; 0 to %d are allowed", n, MaxReplicas)
	}
}

func (s *ServiceSpec) checkLoss(p *meta.Problems, at string) {
	if s.NodeLoss == nil {
		return
	}
	l := s.NodeLoss
	actions := []string{string(Reschedule), string(Keep)}
	switch {
	case s.Mode == Global:
		p.Add(at, "has no meaning with mode Global, whose tasks belong to their nodes; leave it out")
	case !contains(actions, string(l.Action)):
		p.Add(at+".action", "%s", oneOf(string(l.Action), actions))
	case l.After < 0:
		p.Add(at+".after", "%s is negative", time.Duration(l.After))
	case l.Action == Keep && l.After > 0:
		p.Add(at+".after", "has no meaning with action Keep; leave it out")
	}
}
