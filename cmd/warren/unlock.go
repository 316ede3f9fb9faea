package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	keys "warren.io/warren/runtime/identity"
	"warren.io/warren/runtime/seal"
)

// unlock takes the unlock key that was given. A wrong one keeps nothing from running but what needs the authority's key.
func (n *node) unlock() error {
	if n.unlockFile != "" {
		text, err := os.ReadFile(n.unlockFile)
		if err == nil {
			err = keys.GiveUnlockKey(n.keysDir(), string(text))
		}
		if err != nil {
			return usageError{fmt.Errorf("--unlock-key-file %s: %w", n.unlockFile, err)}
		}
	}
	if err := keys.Locked(n.keysDir()); err != nil {
		n.sealedOff(err)
	} else {
		n.status.set("authority", errors.New("is being opened"))
	}
	return nil
}

// sealedOff says, wherever people look, that no certificates can be made.
func (n *node) sealedOff(err error) {
	n.status.set("authority", err)
	n.log.Error(err, "the authority's key cannot be used: no machine can join and no certificate is renewed; all else goes on")
}

// settleKeys seals the authority's key into the store, or opens the one that is there.
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
		case !told && ctx.Err() == nil:
			told = true
			n.sealedOff(err)
		}
	}
}
