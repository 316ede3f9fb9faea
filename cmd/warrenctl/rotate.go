package warrenctl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/store"
)

var (
	theCluster   = meta.Key{Kind: v1.ClusterKind.Name, Name: v1.ClusterName}
	theAuthority = meta.Key{Kind: v1.AuthorityKind.Name, Name: v1.AuthorityName}
)

func (p *program) rotateVerb() *cli.Command {
	return &cli.Command{
		Name: "rotate-ca", Usage: "replace the authority of the cluster, or see how far that is", Action: p.rotate,
		Description: "The cluster does it by itself; to interrupt this command ends only what is shown. Nodes that are off are waited for.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "finish", Usage: "wait no more for nodes that are Down, nor for users who were not here: they must join and log in anew"}},
	}
}

// rotate makes the wish, unless there is one that is not fulfilled, and follows it.
func (p *program) rotate(c *cli.Context) error {
	s, err := p.server(c)
	if err != nil {
		return err
	}
	o, err := s.Get(c.Context, theAuthority)
	if errors.Is(err, store.ErrNotFound) {
		return try(errors.New("this cluster has no authority: no other machine can reach its manager"), "warren run --listen HOST:PORT there")
	}
	if err != nil {
		return err
	}
	a := o.(*v1.Authority)
	want := a.Spec.Number + 1
	err = p.modify(c.Context, s, []meta.Key{theCluster}, func(o meta.Object) (string, error) {
		x := o.(*v1.Cluster)
		switch {
		case x.Spec.Authority > a.Spec.Number:
			want = x.Spec.Authority
		case x.Status.Rotation != "":
			want = a.Spec.Number
		case c.Bool("finish"):
			return "", &exit{error: errors.New("the authority is not being replaced, so there is nothing to finish"), code: codeNo, try: "warrenctl cluster rotate-ca"}
		default:
			x.Spec.Authority = want
		}
		if c.Bool("finish") {
			x.Spec.LeaveBehind = want
		}
		return fmt.Sprintf("gets authority %d", want), nil
	})
	if err != nil {
		return err
	}
	r := &rotating{p: p, want: want}
	err = p.changes(c.Context, s.Only(v1.ClusterKind.Name, v1.AuthorityKind.Name), func(all []meta.Object) error {
		for _, o := range all {
			r.take(o)
		}
		return r.show()
	}, func(change store.Change) error {
		r.take(change.Object)
		return r.show()
	})
	if errors.Is(err, errSettled) {
		p.printf("authority %d has replaced the one before; nothing of that is believed any more\n", want)
		return nil
	}
	return err
}

// rotating is what is known of a rotation.
type rotating struct {
	p         *program
	want      int
	cluster   *v1.Cluster
	authority *v1.Authority
	said      string
}

func (r *rotating) take(o meta.Object) {
	switch x := o.(type) {
	case *v1.Cluster:
		r.cluster = x
	case *v1.Authority:
		r.authority = x
	}
}

// show tells what has changed; errSettled when it is done.
func (r *rotating) show() error {
	if r.cluster == nil || r.authority == nil {
		return nil
	}
	if r.cluster.Status.Authorities != r.authority.Spec.Believed() {
		return nil // one commit has changed both, and only the one was seen
	}
	if r.authority.Spec.Number >= r.want && r.cluster.Status.Rotation == "" {
		return errSettled
	}
	if line := rotation(r.cluster); line != "" && line != r.said {
		r.said = line
		r.p.printf("%s\n", clean(line))
	}
	return nil
}

// rotation is one line about how far a rotation is; "" where there is none.
func rotation(c *v1.Cluster) string {
	line := map[v1.RotationPhase]string{
		v1.RotationIntroduce: "introduce: all managers learn to believe the new authority",
		v1.RotationRenew:     "renew: the new authority signs, nodes and users get new certificates",
		v1.RotationForget:    "forget: the old authority is believed no more, managers start anew without it",
	}[c.Status.Rotation]
	if line == "" {
		return ""
	}
	if w := c.Status.Waiting; len(w) > 0 {
		line += "; waiting for " + strings.Join(w[:min(len(w), 5)], ", ")
		if more := len(w) - 5; more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
	}
	return line
}
