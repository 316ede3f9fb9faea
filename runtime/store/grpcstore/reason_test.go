package grpcstore

import (
	"errors"
	"testing"
)

// What the libraries say is said in words; the class tells what may help.
func TestReason(t *testing.T) {
	for text, want := range map[string]struct {
		means string
		class error
	}{
		`error reading server preface: raw-read unix @->/x.sock: use of closed network connection`: {"it does not answer", ErrSilent},
		`error reading server preface: EOF`: {"it hung up at once; does it want keys?", ErrKeys},
		`error reading server preface: read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer`:                        {"it hung up at once; does it want keys?", ErrKeys},
		`error reading server preface: remote error: tls: unknown certificate authority`:                                         {"it does not accept the keys", ErrKeys},
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`:                                       {"its certificate is not of the cluster that the keys are of", ErrKeys},
		`tls: failed to verify certificate: x509: certificate is valid for 127.0.0.1, ::1, not 10.0.0.9`:                         {"its certificate is not for this name or address", ErrKeys},
		`tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 1970 is before 2026`: {"its certificate is not valid at this time; is the clock right on both sides?", ErrKeys},
		`tls: first record does not look like a TLS handshake`:                                                                   {"it speaks without keys; is that another program, or the port of the metrics?", nil},
		`dial tcp 10.9.9.9:7070: i/o timeout`:                                                                                    {"it does not answer", ErrSilent},
		`dial tcp: lookup nowhere on 10.0.0.1:53: no such host`:                                                                  {"there is no host of that name", nil},
		`something new`: {"", nil},
	} {
		if means, class := reason(text); means != want.means || !errors.Is(class, want.class) {
			t.Errorf("%s: %q %v", text, means, class)
		}
	}
	if got := innermost(`connection error: desc = "transport: authentication handshake failed: tls: x"`); got != "authentication handshake failed: tls: x" {
		t.Errorf("%q", got)
	}
}
