package store

import "context"

type authorKey struct{}

// As returns a context whose commits are made by somebody: "user root", "key admin", "manifests /etc/warren".
func As(ctx context.Context, author string) context.Context {
	return context.WithValue(ctx, authorKey{}, author)
}

// Author returns who commits with this context, "" where nobody said so.
func Author(ctx context.Context) string {
	name, _ := ctx.Value(authorKey{}).(string)
	return name
}
