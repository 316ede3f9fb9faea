package registry

import "time"

// meterSeconds is over how long a rate is taken.
const meterSeconds = 5

// meter counts bytes in each of the last seconds.
type meter struct {
	from  time.Time // of the first byte ever
	slots [meterSeconds + 1]struct{ second, bytes int64 }
}

func (m *meter) add(now time.Time, n int64) {
	if m.from.IsZero() {
		m.from = now
	}
	second := now.Unix()
	s := &m.slots[second%int64(len(m.slots))]
	if s.second != second {
		s.second, s.bytes = second, 0
	}
	s.bytes += n
}

// rate is bytes per second over the last seconds, or over less if it began later.
func (m *meter) rate(now time.Time) int64 {
	first := now.Unix() - meterSeconds + 1
	var sum int64
	for _, s := range m.slots {
		if s.second >= first && s.second <= now.Unix() {
			sum += s.bytes
		}
	}
	since := time.Unix(first, 0)
	if m.from.After(since) {
		since = m.from
	}
	if took := max(now.Sub(since), time.Second); sum > 0 {
		return int64(float64(sum) / took.Seconds())
	}
	return 0
}
