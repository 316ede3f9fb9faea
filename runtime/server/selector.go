package server

import (
	"warren.io/warren/apis/meta"
	"warren.io/warren/runtime/server/api"
)

// selector is a list of demands on labels; nil when nothing is demanded.
type selector meta.Selector

func parseSelector(text string) (selector, error) {
	s, err := meta.ParseSelector(text)
	if err != nil {
		return nil, api.Invalid("%v", err)
	}
	return selector(s), nil
}

func (s selector) match(labels map[string]string) bool { return meta.Selector(s).Matches(labels) }
