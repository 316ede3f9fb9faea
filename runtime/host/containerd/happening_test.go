package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"warren.io/warren/runtime/host"
)

// blobs is a registry that has one blob.
type blobs struct {
	remotes.Resolver
	body io.ReadCloser
}

func (b blobs) Fetcher(context.Context, string) (remotes.Fetcher, error) {
	return remotes.FetcherFunc(func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) { return b.body, nil }), nil
}

type seekable struct{ *bytes.Reader }

func (seekable) Close() error { return nil }

// The bytes that come are counted, and what could be read from the middle still can.
func TestBytesOfPullsAreCounted(t *testing.T) {
	total := int64(0)
	tell := func(e host.Happening) { total += e.Bytes }
	for _, body := range []io.ReadCloser{seekable{bytes.NewReader(make([]byte, 5000))}, io.NopCloser(bytes.NewBuffer(make([]byte, 3000)))} {
		f, err := counting{blobs{body: body}, tell}.Fetcher(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Fetch(t.Context(), ocispec.Descriptor{})
		if err != nil {
			t.Fatal(err)
		}
		_, can := body.(io.Seeker)
		s, does := got.(io.Seeker)
		if can != does {
			t.Fatalf("of %T the middle can be read: %v, want %v", body, does, can)
		}
		if does {
			if _, err := s.Seek(1000, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.Copy(io.Discard, got); err != nil {
			t.Fatal(err)
		}
	}
	if total != 4000+3000 {
		t.Errorf("%d bytes were counted", total)
	}
}

func TestOutcomesOfPulls(t *testing.T) {
	for want, err := range map[string]error{
		"pulled": nil, "given_up": fmt.Errorf("pull: %w", context.Canceled), "failed": errors.New("no such image"),
	} {
		if got := pulled(err, time.Now()); got.Outcome != want || got.What != host.ImagePull {
			t.Errorf("%v: %+v", err, got)
		}
	}
}
