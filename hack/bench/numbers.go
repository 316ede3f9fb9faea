package main

import (
	"slices"
	"time"
)

// samples are measured times.
type samples []time.Duration

// quantile of the samples; 0.5 is the median.
func (s samples) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s samples) median() time.Duration { return s.quantile(0.5) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// timed is how long f takes.
func timed(f func() error) (time.Duration, error) {
	began := time.Now()
	err := f()
	return time.Since(began), err
}

// repeat times f n times.
func repeat(n int, f func(i int) error) (samples, error) {
	var s samples
	for i := range n {
		d, err := timed(func() error { return f(i) })
		if err != nil {
			return s, err
		}
		s = append(s, d)
	}
	return s, nil
}

// median of anything that has an order.
func median[T int64 | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
