package etcdstore

import (
	"cmp"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"warren.io/warren/apis/meta"
)

// KeyValues are objects as they lie in etcd, in the order of their last changes, with the uids and revisions that they carry.
func KeyValues(all []meta.Object) ([]*mvccpb.KeyValue, error) {
	var out []*mvccpb.KeyValue
	for _, o := range all {
		value, err := encode(o)
		if err != nil {
			return nil, err
		}
		m := o.Meta()
		if m.UID <= 0 || m.Revision < m.UID {
			return nil, fmt.Errorf("%s: uid %d and revision %d are none", o.Key(), m.UID, m.Revision)
		}
		// How often a key was written is asked by nobody here; once or more often is all that etcd wants to be right.
		version := int64(1)
		if m.Revision > m.UID {
			version = 2
		}
		out = append(out, &mvccpb.KeyValue{Key: []byte(pathOf(o.Key())), Value: value, CreateRevision: m.UID, ModRevision: m.Revision, Version: version})
	}
	slices.SortStableFunc(out, func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.ModRevision, b.ModRevision) })
	return out, nil
}
