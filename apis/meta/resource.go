// Package meta is what all resources share: the envelope, keys, conditions, quantities, names, labels and the strict codec.
// It imports the standard library only.
package meta

import "time"

// APIVersion is the version of every resource of this release.
const APIVersion = "warren.io/v1"

// Resource is one object of the cluster: Spec is what somebody wants, Status is what was observed.
// S and T are plain structs; *S implements Spec.
type Resource[S, T any] struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	Spec     S        `json:"spec,omitzero"`
	Status   T        `json:"status,omitzero"`
}

// TypeMeta says what a document is.
type TypeMeta struct {
	// APIVersion is warren.io/v1 in this release.
	APIVersion string `json:"apiVersion"`
	// Kind says what the document describes.
	Kind string `json:"kind"`
}

// Metadata is the part of a resource that is the same for all kinds.
type Metadata struct {
	// Name is unique among the resources of a kind: lower-case letters, digits, '-' and '.'.
	Name string `json:"name"`
	// Labels are what resources are selected by: app=shop.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are notes of any text, which nothing selects by.
	Annotations map[string]string `json:"annotations,omitempty"`
	// UID is the store's revision at which the resource was created: unique over the life of a cluster. Set by the store.
	UID int64 `json:"uid,omitempty"`
	// Revision is the store's revision of the last change. Set by the store.
	Revision int64 `json:"revision,omitempty"`
	// Generation counts changes of the spec. Set by the engine and the API.
	Generation int64 `json:"generation,omitempty"`
	// Created is when the resource was first committed.
	Created time.Time `json:"created,omitzero"`
	// Deleted is when somebody asked to delete it; it stays until its finalizers are gone.
	Deleted time.Time `json:"deleted,omitzero"`
	// Finalizers name who has to clean up before the resource may go.
	Finalizers []string `json:"finalizers,omitempty"`
	// Owner is the resource without which this one has no purpose; it is removed after its owner.
	Owner Owner `json:"owner,omitzero"`
}

// Owner refers to one incarnation of a resource.
type Owner struct {
	// Kind, Name and UID are those of the other resource.
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  int64  `json:"uid"`
}

// Key names a resource.
type Key struct {
	// Kind and Name are those of the resource.
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// String is the form that people write: Service/web.
func (k Key) String() string { return k.Kind + "/" + k.Name }

// Object is any resource. Objects that come from a store or a snapshot are shared: Clone before changing one.
type Object interface {
	Key() Key
	Meta() *Metadata
	Clone() Object
	// SetDefaults fills what the user left out, so that what is stored says all that holds.
	SetDefaults()
	// Validate adds what is wrong to p; paths start at the document's root.
	Validate(p *Problems)
	// SpecOf and StatusOf point to the two parts.
	SpecOf() any
	StatusOf() any
}

// Spec is what the spec of every kind can do, on its pointer.
type Spec interface {
	Kind() string
	Default()
	Validate(p *Problems, path string)
}

// Ptr is satisfied by *R for a resource R; it lets generic code say Get[v1.Task](...).
type Ptr[R any] interface {
	*R
	Object
}

// New returns an empty resource of a type, with its type written in.
func New[R any, P Ptr[R]](name string) P {
	p := P(new(R))
	any(p).(typed).setType(name)
	return p
}

// KindOf is the kind of a resource type.
func KindOf[R any, P Ptr[R]]() string { return P(new(R)).SpecOf().(Spec).Kind() }

type typed interface{ setType(name string) }

func (r *Resource[S, T]) setType(name string) {
	r.TypeMeta = TypeMeta{APIVersion: APIVersion, Kind: any(&r.Spec).(Spec).Kind()}
	if name != "" {
		r.Metadata.Name = name
	}
}

// Key returns kind and name.
func (r *Resource[S, T]) Key() Key { return Key{Kind: r.Kind, Name: r.Metadata.Name} }

// Meta returns the metadata for reading or, on an object of one's own, changing.
func (r *Resource[S, T]) Meta() *Metadata { return &r.Metadata }

// SpecOf returns a pointer to the spec.
func (r *Resource[S, T]) SpecOf() any { return &r.Spec }

// StatusOf returns a pointer to the status.
func (r *Resource[S, T]) StatusOf() any { return &r.Status }

// SetDefaults applies the kind's defaults.
func (r *Resource[S, T]) SetDefaults() { any(&r.Spec).(Spec).Default() }

// Validate checks name, labels and the kind's own rules.
func (r *Resource[S, T]) Validate(p *Problems) {
	r.Metadata.validate(p)
	if n, ok := any(&r.Spec).(Named); ok {
		if why := n.CheckName(r.Metadata.Name); why != "" {
			p.Add("metadata.name", "%s", why)
		}
	}
	any(&r.Spec).(Spec).Validate(p, "spec")
}

// Named is a spec whose kind has further rules for names; CheckName returns why a name is not allowed, or "".
type Named interface{ CheckName(name string) string }

// Clone returns a deep copy.
func (r *Resource[S, T]) Clone() Object { return CloneOf(r) }

// OwnerOf makes the reference to o that its dependents carry.
func OwnerOf(o Object) Owner {
	return Owner{Kind: o.Key().Kind, Name: o.Key().Name, UID: o.Meta().UID}
}
