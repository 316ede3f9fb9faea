package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"warren.io/warren/runtime/host"
)

// mark is when an attempt of a task began: what it wrote came later, and everything of the attempt before came earlier, for
// nothing is started before the log of what ended is complete.
type mark struct {
	attempt int
	at      time.Time
}

func (h *Host) marksFile(task string) string {
	return filepath.Join(h.paths.taskLogs(task), "attempts")
}

// marks are those of the last two attempts, older first.
func (h *Host) marks(task string) []mark {
	data, _ := os.ReadFile(h.marksFile(task))
	var out []mark
	for line := range strings.Lines(string(data)) {
		number, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		t, bad := time.Parse(time.RFC3339Nano, at)
		if err == nil && bad == nil {
			out = append(out, mark{n, t})
		}
	}
	return out
}

// markAttempt notes that an attempt begins now. Without it only the choice of an attempt's lines is lost, so no start fails
// because of it.
func (h *Host) markAttempt(task string, attempt int) {
	all := h.marks(task)
	for len(all) > 0 && all[len(all)-1].attempt >= attempt { // it began before, but was killed half-way
		all = all[:len(all)-1]
	}
	all = append(all, mark{attempt, time.Now()})
	var text strings.Builder
	for _, m := range all[max(0, len(all)-2):] {
		fmt.Fprintf(&text, "%d %s\n", m.attempt, m.at.UTC().Format(time.RFC3339Nano))
	}
	file := h.marksFile(task)
	err := os.WriteFile(file+".new", []byte(text.String()), 0o640)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		h.log.Error(err, "the start of an attempt could not be noted in its log", "task", task)
	}
}

// previous tells when the attempt before the latest one wrote.
func (h *Host) previous(task string) (from, until time.Time, err error) {
	all := h.marks(task)
	if len(all) < 2 {
		return from, until, fmt.Errorf("an attempt before the latest one: %w", host.ErrNotFound)
	}
	return all[0].at, all[1].at, nil
}
