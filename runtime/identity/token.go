package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"

	v1 "warren.io/warren/apis/v1"
)

// Token is what lets a machine join: warren1.PIN.ID.SECRET. The pin tells the machine which authority to believe, the secret
// tells the authority to believe the machine.
type Token struct{ Pin, ID, Secret string }

const (
	tokenMark = "warren1"
	pinSize   = 26 // characters of base32: 130 bits
	idSize    = 8
)

// ErrToken means that a text is no token.
var ErrToken = errors.New("this is no join token; one looks like warren1.PIN.ID.SECRET")

// NewToken makes a token with a secret of 130 bits.
func NewToken(pin string) Token {
	return Token{Pin: pin, ID: strings.ToLower(rand.Text()[:idSize]), Secret: strings.ToLower(rand.Text())}
}

// ParseToken reads what NewToken made.
func ParseToken(text string) (Token, error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 4 || parts[0] != tokenMark {
		return Token{}, ErrToken
	}
	t := Token{Pin: parts[1], ID: parts[2], Secret: parts[3]}
	if len(t.Pin) != pinSize || len(t.ID) != idSize || len(t.Secret) != pinSize || strings.Trim(t.Pin+t.ID+t.Secret, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return Token{}, ErrToken
	}
	return t, nil
}

// String is the token as people pass it on.
func (t Token) String() string { return strings.Join([]string{tokenMark, t.Pin, t.ID, t.Secret}, ".") }

// Hash is what is kept of the secret. It has as many bits as a guess would need, so it needs no salt and no slowness.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte(t.Secret))
	return hex.EncodeToString(sum[:])
}

func (t Token) fits(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Hash()), []byte(hash)) == 1
}

// pinOf is the name of an authority by its content.
func pinOf(cert []byte) string { return v1.PinOf(cert) }
