package etcdstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/store"
)

// Pack implements store.Packer. Unlike List it leaves it to the reader to find out what is unreadable, but for kinds that are
// expendable: the unreadable ones of those are left out.
func (s *Store) Pack(ctx context.Context, kinds ...string) ([]store.Packed, store.Revision, error) {
	if err := ask(s.options.Down); err != nil {
		return nil, 0, fmt.Errorf("list: %w", err)
	}
	for range 3 {
		all, rev, err := s.packOnce(ctx, kinds)
		if !errors.Is(err, store.ErrCompacted) {
			return all, rev, err
		}
	}
	return s.packOnce(ctx, kinds)
}

func (s *Store) packOnce(ctx context.Context, kinds []string) ([]store.Packed, store.Revision, error) {
	prefixes := []string{objects}
	if len(kinds) > 0 {
		prefixes = nil
		for _, k := range slices.Compact(slices.Sorted(slices.Values(kinds))) {
			prefixes = append(prefixes, objects+k+"/")
		}
	}
	var all []store.Packed
	var rev store.Revision
	for _, prefix := range prefixes {
		err := s.pages(ctx, prefix, &rev, func(resp *clientv3.GetResponse) error {
			all = slices.Grow(all, int(resp.Count)) // what is left of the range, this page included
			for _, kv := range resp.Kvs {
				p, ok, err := s.pack(kv)
				if err != nil {
					return err
				}
				if ok {
					all = append(all, p)
				}
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return all, rev, nil
}

// pack adds what is not in the value to it, in the place where it would be. A value that this program did not write like this
// is decoded and encoded.
func (s *Store) pack(kv *mvccpb.KeyValue) (store.Packed, bool, error) {
	key, ok := keyOf(string(kv.Key))
	if _, known := s.kinds.ByName(key.Kind); !ok || !known {
		s.report(kv, errUnknownKind)
		return store.Packed{}, false, nil
	}
	head := `{"apiVersion":"` + meta.APIVersion + `","kind":"` + key.Kind + `","metadata":{`
	if bytes.HasPrefix(kv.Value, []byte(head)) && !slices.Contains(s.options.Expendable, key.Kind) {
		out := make([]byte, 0, len(kv.Value)+64)
		out = append(out, head...)
		out = strconv.AppendInt(append(out, `"uid":`...), kv.CreateRevision, 10)
		out = strconv.AppendInt(append(out, `,"revision":`...), kv.ModRevision, 10)
		return store.Packed{Key: key, JSON: append(append(out, ','), kv.Value[len(head):]...)}, true, nil
	}
	var bad UnreadableError
	o, err := s.read(kv)
	if err != nil {
		s.skip(&bad, string(kv.Key), err)
		return store.Packed{}, false, bad.orNil()
	}
	data, err := meta.Encode(o)
	return store.Packed{Key: key, JSON: data}, true, err
}
