package etcdstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"warren.io/warren/apis/meta"
)

// errUnknownKind is why an object of a kind of another version cannot be read.
var errUnknownKind = errors.New("unknown kind")

// UnreadableError names objects that are there and cannot be decoded.
type UnreadableError struct {
	Keys  []meta.Key
	Cause error // of the first
}

func (e *UnreadableError) Error() string {
	names := make([]string, len(e.Keys))
	for i, k := range e.Keys {
		names[i] = k.String()
	}
	return fmt.Sprintf("decode %s: %v; delete or apply it again", strings.Join(names, ", "), e.Cause)
}

// Unwrap returns the cause.
func (e *UnreadableError) Unwrap() error { return e.Cause }

// orNil is the error of a list.
func (e *UnreadableError) orNil() error {
	if len(e.Keys) == 0 {
		return nil
	}
	return fmt.Errorf("list: %w", e)
}

// read decodes what etcd has and reports what it cannot.
func (s *Store) read(kv *mvccpb.KeyValue) (meta.Object, error) {
	key, ok := keyOf(string(kv.Key))
	if !ok {
		s.report(kv, errUnknownKind)
		return nil, errUnknownKind
	}
	o, err := s.decode(key, kv.Value, kv.CreateRevision, kv.ModRevision)
	if err != nil {
		s.report(kv, err)
	}
	return o, err
}

func (s *Store) report(kv *mvccpb.KeyValue, err error) {
	if s.options.Unreadable != nil && s.reported.first(string(kv.Key), kv.ModRevision) {
		s.options.Unreadable(string(kv.Key), err)
	}
}

// skip notes an unreadable object unless nobody acts on its kind.
func (s *Store) skip(bad *UnreadableError, path string, err error) {
	key, _ := keyOf(path)
	if errors.Is(err, errUnknownKind) || slices.Contains(s.options.Expendable, key.Kind) {
		return
	}
	if bad.Cause == nil {
		bad.Cause = err
	}
	bad.Keys = append(bad.Keys, key)
}
