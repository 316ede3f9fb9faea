package server

import (
	"sync"
	"time"
)

// seldom does a thing once, and again only after some time: somebody who asks a thousand times fills no log.
type seldom struct {
	mu    sync.Mutex
	last  map[string]time.Time
	count map[string]int // since then
}

const (
	quietFor = time.Minute
	maxKinds = 1000 // of things that are told apart
)

// Do calls f with how often it was not called since it last was.
func (s *seldom) Do(what string, f func(more int)) {
	s.mu.Lock()
	if s.last == nil || len(s.last) >= maxKinds {
		s.last, s.count = map[string]time.Time{}, map[string]int{}
	}
	now := time.Now()
	if last, known := s.last[what]; known && now.Sub(last) < quietFor {
		s.count[what]++
		s.mu.Unlock()
		return
	}
	more := s.count[what]
	s.last[what], s.count[what] = now, 0
	s.mu.Unlock()
	f(more)
}
