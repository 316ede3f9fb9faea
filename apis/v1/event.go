package v1

import (
	"time"

	"warren.io/warren/apis/meta"
)

// Event tells people what happened to a resource. Nothing waits for one; the oldest are dropped.
type Event = meta.Resource[EventSpec, EventStatus]

// EventSpec is what happened, first.
type EventSpec struct {
	About meta.Key `json:"about"`
	// Type is Normal or Warning.
	Type   EventType `json:"type"`
	Reason string    `json:"reason"`
	// Source is the controller that told it.
	Source string `json:"source,omitempty"`
}

// EventStatus is how often, when last, and in which words.
type EventStatus struct {
	Count   int       `json:"count"`
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Message string    `json:"message"`
}

// EventType tells good news from bad.
type EventType string

// The event types.
const (
	EventNormal  EventType = "Normal"
	EventWarning EventType = "Warning"
)

// Kind implements meta.Spec.
func (*EventSpec) Kind() string { return "Event" }

// Default implements meta.Spec.
func (*EventSpec) Default() {}

// Validate implements meta.Spec.
func (*EventSpec) Validate(*meta.Problems, string) {}
