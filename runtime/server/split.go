package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"
)

// splitter accepts connections and hands them to one of three listeners: one for HTTP/1.1, two for HTTP/2, lobby for HTTP/2 of
// those who come by TLS and have no certificate.
type splitter struct {
	one, two, lobby *door

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	waiting   map[net.Conn]struct{} // said nothing yet
	strangers int                   // with TLS and without a certificate
	tell      func(from net.Addr, err error)
	known     map[*greeted]string // with a certificate, by the name in it
	work      sync.WaitGroup
}

func newSplitter() *splitter {
	return &splitter{one: newDoor(), two: newDoor(), lobby: newDoor(), listeners: map[net.Listener]struct{}{}, waiting: map[net.Conn]struct{}{}, known: map[*greeted]string{}}
}

// accept takes connections of l until it is closed. A machine that is out of files gets time to recover.
func (s *splitter) accept(l net.Listener) error {
	if !s.add(l) {
		return net.ErrClosed
	}
	defer s.remove(l)
	for {
		c, err := l.Accept()
		var soft interface{ Temporary() bool }
		switch {
		case err == nil:
			s.enter(c)
		case errors.As(err, &soft) && soft.Temporary():
			time.Sleep(50 * time.Millisecond)
		default:
			return err
		}
	}
}

func (s *splitter) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *splitter) remove(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
}

func (s *splitter) enter(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return
	}
	s.room(c)
	s.waiting[c] = struct{}{}
	s.work.Go(func() { s.greet(c) })
}

// greet reads the first bytes, which on a TLS connection includes the handshake, and passes the connection on.
func (s *splitter) greet(c net.Conn) {
	first := make([]byte, 4) // HTTP/2 begins with "PRI * HTTP/2.0"; no HTTP/1.1 method is PRI
	_ = c.SetDeadline(time.Now().Add(helloWithin))
	err := readFull(c, first)
	s.mu.Lock()
	delete(s.waiting, c)
	s.mu.Unlock()
	if err != nil {
		s.tell(c.RemoteAddr(), err)
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	to := s.one
	if string(first) == "PRI " {
		to = s.two
		if t, ok := c.(*tls.Conn); ok && len(t.ConnectionState().PeerCertificates) == 0 {
			to = s.lobby
		}
	}
	g := &greeted{Conn: c, first: first}
	s.keep(g)
	if !s.admit(g) {
		s.tell(c.RemoteAddr(), errCrowd)
		_ = c.Close()
		return
	}
	to.pass(g)
}

// keep remembers a connection of somebody with a certificate until it is closed, so that it can be ended.
func (s *splitter) keep(g *greeted) {
	cert := g.certificate()
	if cert == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[g] = cert.Subject.CommonName
	g.closed = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.known, g)
	}
}

// expel ends the connections of all of a name but those that may stay. They are cut: nothing more is to pass, not even a farewell.
func (s *splitter) expel(name string, stays func(*x509.Certificate) bool) (ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g, is := range s.known {
		if is == name && !stays(g.certificate()) {
			_ = g.Conn.(*tls.Conn).NetConn().Close()
			ended++
		}
	}
	return ended
}

func readFull(c net.Conn, b []byte) error {
	for n := 0; n < len(b); {
		m, err := c.Read(b[n:])
		if n += m; err != nil && n < len(b) {
			return err
		}
	}
	return nil
}

// close closes all listeners and the connections that said nothing yet.
func (s *splitter) close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.waiting {
		_ = c.Close()
	}
	s.mu.Unlock()
	_ = s.one.Close()
	_ = s.two.Close()
	_ = s.lobby.Close()
	s.work.Wait()
}

// door is a listener whose connections come from the splitter.
type door struct {
	conns chan net.Conn
	shut  chan struct{}
	once  sync.Once
}

func newDoor() *door { return &door{conns: make(chan net.Conn), shut: make(chan struct{})} }

func (d *door) pass(c net.Conn) {
	select {
	case d.conns <- c:
	case <-d.shut:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	return nil
}

// Addr implements net.Listener. A door stands for several listeners and has no address of its own.
func (d *door) Addr() net.Addr { return &net.UnixAddr{Name: "warren", Net: "unix"} }

// greeted is a connection of which the first bytes were read already.
type greeted struct {
	net.Conn
	first  []byte
	closed func() // nil where nobody wants to know
}

// certificate is what the other side has shown, nil if it has shown none.
func (g *greeted) certificate() *x509.Certificate {
	if t, ok := g.Conn.(*tls.Conn); ok {
		if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
			return certs[0]
		}
	}
	return nil
}

// Close implements net.Conn.
func (g *greeted) Close() error {
	if g.closed != nil {
		g.closed()
	}
	return g.Conn.Close()
}

// Read implements net.Conn.
func (g *greeted) Read(b []byte) (int, error) {
	if len(g.first) == 0 {
		return g.Conn.Read(b)
	}
	n := copy(b, g.first)
	g.first = g.first[n:]
	return n, nil
}
