package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// CPU is an amount of processor time in thousandths of a core: "500m", "2", "1.5".
type CPU int64

// Bytes is an amount of memory or disk: "256Mi", "1Gi", "64k", 1048576.
type Bytes int64

// Duration is a length of time: "30s", "5m", "1h30m".
type Duration time.Duration

// ParseCPU reads "500m", "2" or "0.25"; the smallest step is 1m.
func ParseCPU(s string) (CPU, error) {
	text, unit := s, int64(1000)
	if strings.HasSuffix(s, "m") {
		text, unit = s[:len(s)-1], 1
	}
	n, err := scaled(text, unit)
	if err != nil {
		return 0, fmt.Errorf("%q is no CPU amount; write cores like 2 or 0.5, or thousandths like 500m", s)
	}
	return CPU(n), nil
}

var byteUnits = []struct {
	suffix string
	size   int64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
	{"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12},
}

// ParseBytes reads a number of bytes with an optional unit k M G T (powers of 1000) or Ki Mi Gi Ti (powers of 1024).
func ParseBytes(s string) (Bytes, error) {
	text, unit := s, int64(1)
	for _, u := range byteUnits {
		if strings.HasSuffix(s, u.suffix) {
			text, unit = strings.TrimSuffix(s, u.suffix), u.size
			break
		}
	}
	n, err := scaled(text, unit)
	if err != nil {
		return 0, fmt.Errorf("%q is no size; write a number with an optional unit like 64Mi, 1Gi or 500k", s)
	}
	return Bytes(n), nil
}

// ParseDuration reads Go's form of a duration that is not negative.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration; write it like 500ms, 30s, 5m or 1h30m", s)
	}
	return Duration(d), nil
}

// errBad is that a number is none; callers say it in their own words.
var errBad = errors.New("bad number")

// scaled reads a decimal number times unit without floating point; the result must be whole and not negative.
func scaled(s string, unit int64) (int64, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if whole == "" || len(frac) > 9 || strings.HasSuffix(s, ".") {
		return 0, errBad
	}
	w, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || whole[0] == '+' || int64(w) > math.MaxInt64/unit {
		return 0, errBad
	}
	n := int64(w) * unit
	if frac == "" {
		return n, nil
	}
	f, err := strconv.ParseUint(frac, 10, 63)
	if err != nil || frac[0] == '+' {
		return 0, errBad
	}
	for range frac {
		if unit%10 != 0 { // binary units: only what divides evenly
			return fraction(n, f, frac, unit)
		}
		unit /= 10
	}
	return plus(n, int64(f)*unit) // less than one whole unit, so the product cannot overflow
}

func fraction(n int64, f uint64, frac string, unit int64) (int64, error) {
	den := int64(math.Pow10(len(frac)))
	num := int64(f)
	for num%2 == 0 && den%2 == 0 {
		num, den = num/2, den/2
	}
	for num%5 == 0 && den%5 == 0 {
		num, den = num/5, den/5
	}
	if num == 0 {
		return n, nil
	}
	if unit%den != 0 {
		return 0, fmt.Errorf("not a whole number")
	}
	return plus(n, unit/den*num)
}

func plus(a, b int64) (int64, error) {
	if a > math.MaxInt64-b {
		return 0, fmt.Errorf("too large")
	}
	return a + b, nil
}

// String writes whole cores as such, else thousandths.
func (c CPU) String() string {
	if c%1000 == 0 {
		return strconv.FormatInt(int64(c)/1000, 10)
	}
	return strconv.FormatInt(int64(c), 10) + "m"
}

// String uses the largest binary unit that divides the value.
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if u := byteUnits[i]; b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// String writes the shortest form: 1h30m, not 1h30m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalJSON writes the canonical text.
func (c CPU) MarshalJSON() ([]byte, error) { return quoted(c.String()), nil }

// MarshalJSON writes the canonical text.
func (b Bytes) MarshalJSON() ([]byte, error) { return quoted(b.String()), nil }

// MarshalJSON writes the canonical text.
func (d Duration) MarshalJSON() ([]byte, error) { return quoted(d.String()), nil }

// quoted is a text without anything to escape as JSON; none of the forms above has that, but for the µ of microseconds,
// which needs none.
func quoted(s string) []byte { return []byte(`"` + s + `"`) }

// UnmarshalJSON reads text or a plain number.
func (c *CPU) UnmarshalJSON(data []byte) error { return unmarshalText(data, c, ParseCPU) }

// UnmarshalJSON reads text or a plain number.
func (b *Bytes) UnmarshalJSON(data []byte) error { return unmarshalText(data, b, ParseBytes) }

// UnmarshalJSON reads text.
func (d *Duration) UnmarshalJSON(data []byte) error { return unmarshalText(data, d, ParseDuration) }

func unmarshalText[T any](data []byte, to *T, parse func(string) (T, error)) error {
	s := string(data)
	switch inner := strings.Trim(s, `"`); {
	case len(s) == len(inner)+2 && s[0] == '"' && !strings.ContainsRune(inner, '\\'):
		s = inner
	case s != "" && s[0] == '"':
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
	}
	v, err := parse(s)
	if err != nil {
		return err
	}
	*to = v
	return nil
}
