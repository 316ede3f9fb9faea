package reconciler

import (
	"testing"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/control"
	"warren.io/warren/runtime/control/controltest"
)

// In the cases HASH is the hash of the service's present template.
func TestCases(t *testing.T) {
	controltest.Run(t, func(t *testing.T, c *controltest.Case) control.Controller {
		for _, o := range c.Objects(t) {
			if s, ok := o.(*v1.Service); ok {
				c.Words["HASH"] = v1.TemplateHash(s)
			}
		}
		return Controller{}
	})
}
