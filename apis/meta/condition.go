package meta

import "time"

// ConditionStatus is True, False or Unknown.
type ConditionStatus string

// The three answers of a condition.
const (
	True    ConditionStatus = "True"
	False   ConditionStatus = "False"
	Unknown ConditionStatus = "Unknown"
)

// Condition is one observed fact about a resource, for people and for waits.
type Condition struct {
	// Type is what the condition is about, such as Available.
	Type string `json:"type"`
	// Status is True, False or Unknown.
	Status ConditionStatus `json:"status"`
	// Reason is one word for programs, Message a sentence for people.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// TransitionTime is since when the status is so.
	TransitionTime time.Time `json:"transitionTime,omitzero"`
}

// Conditions is the list as it stands in a status, in the order in which they were first set.
type Conditions []Condition

// Find returns the condition of a type, or a zero one.
func (c Conditions) Find(kind string) Condition {
	for _, x := range c {
		if x.Type == kind {
			return x
		}
	}
	return Condition{}
}

// With returns a copy in which the condition is set; the transition time moves only when its Status does.
func (c Conditions) With(n Condition, now time.Time) Conditions {
	out := append(Conditions(nil), c...)
	n.TransitionTime = now
	for i, x := range out {
		if x.Type != n.Type {
			continue
		}
		if x.Status == n.Status {
			n.TransitionTime = x.TransitionTime
		}
		out[i] = n
		return out
	}
	return append(out, n)
}
