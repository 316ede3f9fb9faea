package registry

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// board is what is known of the pulls that are going on. It is never written anywhere.
type board struct {
	mu      sync.Mutex
	pulls   map[*Pull]bool
	blobs   map[digest.Digest]*blob
	changed chan struct{} // closed and renewed when a pull begins, ends or learns of more content; nil: nobody asked
}

// blob is how far one piece of content is. Pulls that need the same one share it.
type blob struct {
	mu    sync.Mutex
	size  int64
	have  int64
	came  int64 // over the network
	users int   // guarded by the board
	speed meter
}

// add counts n bytes that came.
func (b *blob) add(n int) {
	if b == nil || n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.have += int64(n)
	b.came += int64(n)
	b.speed.add(time.Now(), int64(n))
}

// set says that the first n bytes are here.
func (b *blob) set(n int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.have = n
}

func (b *blob) read(now time.Time) (have, size, speed int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(b.have, b.size), b.size, b.speed.rate(now)
}

// Pull is one image that is being fetched.
type Pull struct {
	board   *board
	name    string
	started time.Time
	refs    []string // guarded by the board, as all below
	blobs   []*blob
	digests map[digest.Digest]bool
}

// Begin notes that an image is fetched from now on, until End.
func (s *Source) Begin(name string) *Pull {
	p := &Pull{board: &s.board, name: name, started: time.Now(), digests: map[digest.Digest]bool{}}
	s.board.change(func() {
		if s.board.pulls == nil {
			s.board.pulls, s.board.blobs = map[*Pull]bool{}, map[digest.Digest]*blob{}
		}
		s.board.pulls[p] = true
	})
	return p
}

// End notes that the pull is over, in one way or another.
func (p *Pull) End() {
	p.board.change(func() {
		delete(p.board.pulls, p)
		for d := range p.digests {
			if b := p.board.blobs[d]; b.users > 1 {
				b.users--
			} else {
				delete(p.board.blobs, d)
			}
		}
	})
}

// For notes a name by which a task wants this image.
func (p *Pull) For(ref string) {
	p.board.change(func() {
		if !slices.Contains(p.refs, ref) {
			p.refs = append(p.refs, ref)
		}
	})
}

// Need notes that the image has this content, of which so much is here already.
func (p *Pull) Need(d ocispec.Descriptor, have func() int64) {
	if p.known(d) {
		return
	}
	begun := have()
	p.board.change(func() {
		if p.digests[d.Digest] {
			return
		}
		b := p.board.blobs[d.Digest]
		if b == nil {
			b = &blob{size: d.Size, have: begun}
			p.board.blobs[d.Digest] = b
		}
		b.users++
		p.digests[d.Digest] = true
		p.blobs = append(p.blobs, b)
	})
}

// Came is how many bytes of its content came over the network since the pull began.
func (p *Pull) Came() (sum int64) {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	for _, b := range p.blobs {
		b.mu.Lock()
		sum += b.came
		b.mu.Unlock()
	}
	return sum
}

func (p *Pull) known(d ocispec.Descriptor) bool {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	return p.digests[d.Digest]
}

// Have notes that all of this content is here.
func (p *Pull) Have(d ocispec.Descriptor) { p.board.blob(d).set(d.Size) }

func (b *board) blob(d ocispec.Descriptor) *blob {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.blobs[d.Digest]
}

// change does something with the board and tells those who watch it.
func (b *board) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Changed is closed when the next pull begins, ends or learns of more content. Counters change without it.
func (s *Source) Changed() <-chan struct{} {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	if s.board.changed == nil {
		s.board.changed = make(chan struct{})
	}
	return s.board.changed
}

// Pulls returns what is being fetched now, sorted by name.
func (s *Source) Pulls() []host.Pull {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	now := time.Now()
	all := make([]host.Pull, 0, len(s.board.pulls))
	for p := range s.board.pulls {
		all = append(all, p.read(now))
	}
	slices.SortFunc(all, func(a, b host.Pull) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Started.Compare(b.Started))
	})
	return all
}

func (p *Pull) read(now time.Time) host.Pull {
	out := host.Pull{Name: p.name, Refs: slices.Sorted(slices.Values(p.refs)), Started: p.started, Phase: host.PullFetching}
	for _, b := range p.blobs {
		have, size, speed := b.read(now)
		out.Done, out.Total, out.Rate = out.Done+have, out.Total+size, out.Rate+speed
	}
	switch {
	case out.Total == 0:
		out.Phase = host.PullResolving
	case out.Done == out.Total:
		out.Phase, out.Rate = host.PullUnpacking, 0
	}
	return out
}
