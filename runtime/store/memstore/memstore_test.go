package memstore_test

import (
	"testing"

	"warren.io/warren/runtime/store"
	"warren.io/warren/runtime/store/memstore"
	"warren.io/warren/runtime/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
}
