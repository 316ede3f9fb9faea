package v1

import "warren.io/warren/apis/meta"

// Outline describes the documents of a kind: every field with its type and default.
func Outline(k *meta.Kind) *meta.Field { return meta.Outline(k, nil) }
