package host

import (
	"context"
	"time"
)

// Pulls shows which images a node is fetching. It is known in memory only.
type Pulls interface {
	// WatchPulls calls emit with all pulls that are going on: at once, and then whenever something changed, at most about
	// four times a second, until ctx ends.
	WatchPulls(ctx context.Context, emit func([]Pull) error) error
}

// Pull is an image that is being fetched.
type Pull struct {
	Name    string    `json:"name"` // in full
	Refs    []string  `json:"refs"` // as tasks name it
	Phase   PullPhase `json:"phase"`
	Done    int64     `json:"done"`  // bytes that are here
	Total   int64     `json:"total"` // bytes in all, as far as that is known yet
	Rate    int64     `json:"rate"`  // bytes per second over the last seconds
	Started time.Time `json:"started"`
}

// PullPhase is what a pull is at.
type PullPhase string

// Phases of a pull, in their order.
const (
	PullResolving PullPhase = "Resolving" // what the name means is asked for
	PullFetching  PullPhase = "Pulling"
	PullUnpacking PullPhase = "Unpacking" // all is here and is being made ready to run
)
