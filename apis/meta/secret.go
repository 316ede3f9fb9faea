package meta

import (
	"fmt"
	"io"
)

// Secret is a text that is stored sealed. What it says is never part of any JSON, nor of anything that is printed: it gets
// into the store and out of it only through a wrapper that has the key.
type Secret struct {
	// Plain is what it says; nil where that is not known, since nobody here could open it.
	Plain []byte `json:"-"`
	// Sealed is what is stored, encrypted; empty until it is.
	Sealed string `json:"sealed,omitempty"`
}

// Format implements fmt.Formatter: whatever the verb, a secret is not printed.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// Secretive is a spec with secrets.
type Secretive interface {
	// Secrets returns all of them by the name of their field; empty ones, too.
	Secrets() map[string]*Secret
}

// SecretsOf returns pointers to the secrets of an object by the path of their field; nil where its kind has none.
func SecretsOf(o Object) map[string]*Secret {
	s, ok := o.SpecOf().(Secretive)
	if !ok {
		return nil
	}
	return s.Secrets()
}

// Veiled is a spec with more that is nobody's business.
type Veiled interface{ Veil() }

// Veil returns an object as it may be shown: without anything sealed. Where there is nothing to hide it is the object itself.
func Veil(o Object) Object {
	if len(SecretsOf(o)) == 0 {
		return o
	}
	o = o.Clone()
	for _, s := range SecretsOf(o) {
		*s = Secret{}
	}
	if v, ok := o.SpecOf().(Veiled); ok {
		v.Veil()
	}
	return o
}
