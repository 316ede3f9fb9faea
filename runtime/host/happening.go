package host

import "time"

// Happening is something that a host has done or seen, for those who count.
type Happening struct {
	What    What
	Outcome string        // one of a few words, see What
	Again   bool          // of a start: not the first of its task
	Took    time.Duration // of starts and pulls
	Bytes   int64         // of ImageBytes
}

// What happened.
type What string

// What may happen.
const (
	TaskStart  What = "start" // Outcome is started, failed or rejected; the pull is not part of it
	TaskExit   What = "exit"  // of itself. Outcome is completed, failed, oom_killed or lost
	ImagePull  What = "pull"  // Outcome is pulled, failed or given_up
	ImageBytes What = "bytes" // that came from a registry
)
