package api

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe is a connection made of a stream of pieces. It knows no deadlines.
type Pipe struct {
	name  string
	recv  func() (*ReachPiece, error)
	send  func(*ReachPiece) error
	close func()
	rest  []byte

	mu     sync.Mutex // held while something is sent
	closed bool
	done   chan struct{}
}

// NewPipe makes a connection to somebody of a name. Close calls end, which shall make recv return.
func NewPipe(name string, recv func() (*ReachPiece, error), send func(*ReachPiece) error, end func()) *Pipe {
	return &Pipe{name: name, recv: recv, send: send, close: end, done: make(chan struct{})}
}

// Read implements net.Conn.
func (p *Pipe) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		m, err := p.recv()
		if err != nil {
			return 0, io.EOF
		}
		p.rest = m.GetData()
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Write implements net.Conn.
func (p *Pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := 0; n < len(b); n += Piece {
		if p.closed {
			return n, net.ErrClosed
		}
		if err := p.send(&ReachPiece{Data: b[n:min(n+Piece, len(b))]}); err != nil {
			return n, io.ErrClosedPipe
		}
	}
	return len(b), nil
}

// Close implements net.Conn.
func (p *Pipe) Close() error {
	p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.done)
	}
	return nil
}

// Done is closed when the connection is.
func (p *Pipe) Done() <-chan struct{} { return p.done }

// LocalAddr implements net.Conn.
func (p *Pipe) LocalAddr() net.Addr { return &net.UnixAddr{Name: "warren", Net: "warren"} }

// RemoteAddr implements net.Conn.
func (p *Pipe) RemoteAddr() net.Addr { return &net.UnixAddr{Name: p.name, Net: "warren"} }

// SetDeadline implements net.Conn.
func (p *Pipe) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline implements net.Conn.
func (p *Pipe) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline implements net.Conn.
func (p *Pipe) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// ListenPipe is a listener whose only connection is there already. Accept ends with it.
func ListenPipe(p *Pipe) net.Listener { return &pipeListener{Pipe: p} }

type pipeListener struct {
	*Pipe
	taken bool
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.Pipe, nil
	}
	<-l.done
	return nil, errPipeEnded
}

var errPipeEnded = errors.New("the connection has ended")

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return l.RemoteAddr() }
