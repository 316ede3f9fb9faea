package meta

import "time"

// Clock is the time at which a table is drawn.
type Clock = time.Time

// Probe returns an object that has a key and nothing else, to search ordered trees of objects with.
func Probe(k Key) Object { return probe(k) }

type probe Key

func (p probe) Key() Key           { return Key(p) }
func (p probe) Meta() *Metadata    { return &Metadata{Name: p.Name} }
func (p probe) Clone() Object      { return p }
func (p probe) SetDefaults()       {}
func (p probe) Validate(*Problems) {}
func (p probe) SpecOf() any        { return nil }
func (p probe) StatusOf() any      { return nil }
