package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/seal"
)

// takeUnlockKey takes the one that was given.
func (n *node) takeUnlockKey() error {
	if n.unlockFile == "" {
		return nil
	}
	text, err := os.ReadFile(n.unlockFile)
	if err == nil {
		err = keys.GiveUnlockKey(n.keysDir(), string(text))
	}
	if err != nil {
		return usageError{fmt.Errorf("--unlock-key-file %s: %w", n.unlockFile, err)}
	}
	return nil
}

// unlock looks whether the authority opens. A wrong key keeps nothing from running but what needs the authority's.
func (n *node) unlock() {
	err := keys.Locked(n.keysDir())
	switch {
	case err != nil:
		n.sealedOff(err)
	case !keys.Sealed(n.keysDir()):
		n.status.set("authority", errors.New("is being sealed"))
	default:
		n.status.set("authority", nil)
	}
}

// sealedOff says, wherever people look, that no certificates can be made.
func (n *node) sealedOff(err error) {
	n.status.set("authority", err)
	n.log.Error(err, "the authority's key cannot be used: no machine can join and no certificate is renewed; all else goes on")
}

// settleKeys seals the authority's key into the store, or opens the one that is there. Without a quorum it waits: what this manager
// has a copy of signs meanwhile.
func (n *node) settleKeys(ctx context.Context) {
	if n.listen == "" {
		return
	}
	for told := false; ctx.Err() == nil; sleep(ctx, again) {
		err := keys.Settle(ctx, n.keysDir(), n.quorum.Store(), &n.ring)
		switch {
		case err == nil:
			n.status.set("authority", nil)
			return
		case errors.Is(err, seal.ErrUnlockKey), errors.Is(err, seal.ErrDamaged):
			n.sealedOff(err)
			return
		case !told && ctx.Err() == nil && keys.Locked(n.keysDir()) != nil:
			told = true
			n.sealedOff(err)
		}
	}
}
