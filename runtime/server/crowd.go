package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// Bounds of what the port holds for those of whom nothing is known.
const (
	maxWaiting   = 1024 // connections that have said nothing yet
	maxStrangers = 256  // connections with TLS and without a certificate
)

var errCrowd = errors.New("too many connections without a certificate at once")

// room ends one of those that wait when they are too many: any, so that whoever floods the port mostly hits himself, while
// one who says soon what he wants gets through. The caller holds the lock.
func (s *splitter) room(newcomer net.Conn) {
	if _, port := newcomer.(*tls.Conn); !port || len(s.waiting) < maxWaiting {
		return
	}
	for c := range s.waiting {
		if t, ok := c.(*tls.Conn); ok {
			_ = t.NetConn().Close()
			delete(s.waiting, c)
			return
		}
	}
}

// admit counts those without a certificate, and refuses those who are too many.
func (s *splitter) admit(g *greeted) bool {
	if _, port := g.Conn.(*tls.Conn); !port || g.certificate() != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strangers >= maxStrangers {
		return false
	}
	s.strangers++
	gone := false
	g.closed = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !gone {
			gone = true
			s.strangers--
		}
	}
	return true
}

// tellBroken logs connections that came to nothing; not one for each. Who just hangs up is nobody's concern.
func (s *Server) tellBroken(from net.Addr, err error) {
	if errors.Is(err, io.EOF) || s.stopping.Err() != nil {
		return
	}
	s.refusals.Do("connection", func(more int) {
		s.config.Log.Info("refused a connection", "from", from.String(), "cause", err.Error(), "alsoBefore", more)
	})
}
