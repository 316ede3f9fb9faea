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

// maxTold is how many different things are said in quietFor: who asks for another name each time fills no log either.
const maxTold = 20

// few counts what is said.
type few struct {
	mu    sync.Mutex
	since time.Time
	count int
}

// next is the number of what is said now, from 1 to maxTold, 0 for what comes after that.
func (f *few) next() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.since) >= quietFor {
		f.since, f.count = now, 0
	}
	if f.count == maxTold {
		return 0
	}
	f.count++
	return f.count
}
