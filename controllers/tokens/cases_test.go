package tokens

import (
	"testing"

	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
)

func TestCases(t *testing.T) {
	controltest.Run(t, func(*testing.T, *controltest.Case) control.Controller { return Controller{} })
}
