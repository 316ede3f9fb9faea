package identity

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Clock is the clock of the machine, but for when that is known to be behind: a machine without a battery boots in 1970. It is never
// earlier than its floor, the newest of what it was told: when this program was built, when something of importance was last
// written here, and since when certificates are valid that the cluster's authority has signed. The zero Clock has no floor.
type Clock struct {
	Wall func() time.Time // nil for that of the machine

	mu       sync.Mutex
	floor    time.Time
	earliest time.Time // the build: what is a whole lifetime of an authority later is not believed
	kept     time.Time // what is on disk
}

// system is the clock of this process.
var system = &Clock{}

// Now is the time by which this process judges certificates.
func Now() time.Time { return system.Now() }

// Built says when this program was built: now is not earlier.
func Built(t time.Time) { system.built(t) }

func (c *Clock) built(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earliest = t
	if t.After(c.floor) {
		c.floor = t
	}
}

func (c *Clock) wall() time.Time {
	if c.Wall != nil {
		return c.Wall()
	}
	return time.Now()
}

// Now is the later of the machine's time and the floor.
func (c *Clock) Now() time.Time {
	wall := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	if wall.Before(c.floor) {
		return c.floor
	}
	return wall
}

// Behind tells whether the machine's clock is wrong for sure.
func (c *Clock) Behind() bool {
	wall := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	return wall.Before(c.floor)
}

// saw raises the floor. One machine whose clock is far ahead must not lock all others out for ever.
func (c *Clock) saw(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if believable := c.earliest.IsZero() || t.Before(c.earliest.Add(lifetime)); believable && t.After(c.floor) {
		c.floor = t
	}
}

// clockFile holds a time, RFC 3339.
const clockFile = "clock"

// load raises the floor to what was kept in a directory. Whatever is wrong with the file, it is only a hint.
func (c *Clock) load(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, clockFile))
	if err != nil {
		return
	}
	if t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text))); err == nil {
		c.saw(t)
		if !c.Now().Before(t) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.kept = t
		}
	}
}

// keepEvery bounds how much later than what is on disk the time must be to be written.
const keepEvery = time.Hour

// keep writes the time down beside something that was just written: it is never a reason of its own to write.
func (c *Clock) keep(dir string) error {
	now := c.Now().UTC().Truncate(time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.kept) < keepEvery {
		return nil
	}
	if err := replace(dir, clockFile, []byte(now.Format(time.RFC3339)+"\n")); err != nil {
		return err
	}
	c.kept = now
	return nil
}

// verify judges a certificate. That it is not valid yet says only that the clock here is behind, since signers date back: then the
// certificate is what tells the time. A node's that has run out is let through where late allows it, for what its holder may
// still ask.
func (c *Clock) verify(cert *x509.Certificate, o x509.VerifyOptions, late func(*x509.Certificate) bool) error {
	if o.CurrentTime = c.Now(); o.CurrentTime.Before(cert.NotBefore) {
		o.CurrentTime = cert.NotBefore
	}
	if late != nil && o.CurrentTime.After(cert.NotAfter) && late(cert) {
		o.CurrentTime = cert.NotAfter
	}
	_, err := cert.Verify(o)
	if err == nil {
		c.saw(cert.NotBefore)
	}
	return err
}
