package v1

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"warren.io/warren/apis/meta"
)

// Event tells people what happened to a resource. Nothing waits for one; the oldest are dropped.
type Event = meta.Resource[EventSpec, EventStatus]

// EventSpec is what happened, first.
type EventSpec struct {
	// About is the resource that it happened to.
	About meta.Key `json:"about"`
	// Type is Normal or Warning.
	Type EventType `json:"type"`
	// Reason is one word for programs.
	Reason string `json:"reason"`
	// Source is the controller that told it.
	Source string `json:"source,omitempty"`
	// Node is the node whose agent told it; empty where the leader did.
	Node string `json:"node,omitempty"`
}

// EventStatus is how often, when last, and in which words.
type EventStatus struct {
	// Count is how often it happened, First and Last when.
	Count int       `json:"count"`
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Message is a sentence for people, as it was the last time.
	Message string `json:"message"`
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

// MaxEvents is how many events are kept.
const MaxEvents = 1000

// EventName is the name of the one event about a resource for a reason: equal ones are counted, not repeated.
func EventName(about meta.Key, reason string) string {
	n := strings.ToLower(about.Kind + "." + about.Name + "." + reason)
	if len(n) <= meta.MaxName {
		return n
	}
	sum := sha256.Sum256([]byte(n))
	return strings.TrimRight(n[:meta.MaxName-17], "-.") + "." + hex.EncodeToString(sum[:8])
}

// Again returns the event after it happened once more; old is nil the first time.
func (s EventSpec) Again(old *Event, message string, now time.Time) *Event {
	e := meta.New[Event](EventName(s.About, s.Reason))
	e.Spec = s
	e.Metadata.Created, e.Metadata.Generation = now, 1
	e.Status = EventStatus{First: now}
	if old != nil {
		e.Metadata.Created, e.Status = old.Metadata.Created, old.Status
	}
	e.Status.Count++
	e.Status.Last, e.Status.Message = now, message
	return e
}
