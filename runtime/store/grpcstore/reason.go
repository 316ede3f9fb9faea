package grpcstore

import (
	"errors"
	"strings"
)

// ErrKeys is the class of errors that say that the keys of the two sides do not belong together.
var ErrKeys = errors.New("the keys do not fit")

// ErrSilent is the class of errors that say that the other side is there but does not answer.
var ErrSilent = errors.New("it does not answer")

// reasons are what the libraries below say about a connection that did not come about, and what that means to people.
var reasons = []struct {
	says, means string
	class       error // or nil
}{
	{"signed by unknown authority", "its certificate is not of the cluster that the keys are of", ErrKeys},
	{"certificate has expired or is not yet valid", "its certificate is not valid at this time; is the clock right on both sides?", ErrKeys},
	{"certificate is valid for", "its certificate is not for this name or address", ErrKeys},
	{"certificate is not valid for any names", "its certificate is not for this name or address", ErrKeys},
	{"does not look like a TLS handshake", "it speaks without keys; is that another program, or the port of the metrics?", nil},
	{"remote error: tls: expired certificate", "it says that the keys have expired; is the clock right on both sides?", ErrKeys},
	{"remote error: tls", "it does not accept the keys", ErrKeys},
	{"broken pipe", "it hung up at once; does it want keys?", ErrKeys},
	{"connection reset by peer", "it hung up at once; does it want keys?", ErrKeys},
	{"server preface: EOF", "it hung up at once; does it want keys?", ErrKeys},
	{"server preface: http2", "what answers there is no warren", nil},
	{"network is unreachable", "there is no way to that address from here", nil},
	{"no route to host", "there is no way to that address from here", nil},
	{"no such host", "there is no host of that name", nil},
	{"i/o timeout", "it does not answer", ErrSilent},
	{"deadline exceeded", "it does not answer", ErrSilent},
	{"server preface: raw-read", "it does not answer", ErrSilent}, // we hung up after a while
}

// reason says in people's words why a connection did not come about; "" where there are none but the library's.
func reason(text string) (means string, class error) {
	for _, r := range reasons {
		if strings.Contains(text, r.says) {
			return r.means, r.class
		}
	}
	return "", nil
}

// innermost is what was said first, without what the libraries put around it.
func innermost(text string) string {
	if i := strings.LastIndex(text, `desc = "`); i >= 0 {
		text = strings.TrimSuffix(text[i+len(`desc = "`):], `"`)
	}
	return strings.TrimPrefix(text, "transport: ")
}
