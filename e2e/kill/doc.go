// Package kill is the kill -9 matrix: a real node with real containers is changed at random and killed at random moments, in
// whole or in part, and started again with the same directories. After each round nothing that was acknowledged may be lost,
// nothing may be there twice or too much, and no task that was left alone may have been started again.
//
//	make build hello
//	go test -tags e2e -count=1 -v ./e2e/kill                    # 100 rounds, as root
//	SEED=7 ROUNDS=20 go test -tags e2e -count=1 -v ./e2e/kill   # one life of a node, as a failure prints it
//
// The seed decides what is done and when; how far the node has come by then differs from run to run.
package kill
