package warrenctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"warren.io/warren/apis/meta"
	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/host"
)

func (p *program) topVerb() *cli.Command {
	flags := []cli.Flag{
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on, until interrupted"},
		&cli.DurationFlag{Name: "interval", Value: time.Second, Usage: "time between two looks, over which rates are measured"},
		&cli.StringFlag{Name: "sort-by", Value: "cpu", Usage: "cpu, memory, network, disk or name"},
		&cli.StringFlag{Name: "node", Usage: "of the node of this name alone (default: of all)"},
	}
	return &cli.Command{
		Name: "top", Usage: "show what tasks and nodes use now", ArgsUsage: "nodes|tasks",
		Description: "CPU in cores or thousandths (m); memory without what the kernel would give back at once; network and disk in bytes\n" +
			"a second. The counters are read from the kernel for this; nothing is stored.",
		Subcommands: []*cli.Command{
			{Name: "tasks", Aliases: []string{"task"}, Usage: "show what tasks use now", Flags: flags, Action: p.top(taskTable)},
			{Name: "nodes", Aliases: []string{"node"}, Usage: "show what nodes and all on them use now", Flags: flags, Action: p.top(nodeTable)},
		},
	}
}

// order sorts what is used, most first.
var order = map[string]func(a, b used) int{
	"cpu":     func(a, b used) int { return cmp.Compare(b.cpu, a.cpu) },
	"memory":  func(a, b used) int { return cmp.Compare(b.now.Memory, a.now.Memory) },
	"network": func(a, b used) int { return cmp.Compare(b.received+b.sent, a.received+a.sent) },
	"disk":    func(a, b used) int { return cmp.Compare(b.read+b.wrote, a.read+a.wrote) },
	"name":    func(a, b used) int { return 0 },
}

func (p *program) top(show func([]span, func(a, b used) int) table) cli.ActionFunc {
	return func(c *cli.Context) error {
		by, ok := order[c.String("sort-by")]
		if !ok {
			return usagef("--sort-by %s: there are %s", c.String("sort-by"), strings.Join(meta.SortedKeys(order), ", "))
		}
		if c.Duration("interval") < time.Millisecond {
			return usagef("--interval %v: at least 1ms", c.Duration("interval"))
		}
		s, err := p.server(c)
		if err != nil {
			return err
		}
		nodes, err := p.lookedAt(c.Context, s, c.String("node"))
		if err != nil {
			return err
		}
		for before := []host.Usage(nil); ; {
			now, err := p.look(c.Context, s, nodes)
			if err != nil {
				return err
			}
			if before != nil {
				t := show(spans(before, now), by)
				if c.Bool("watch") && p.live {
					p.printf("\x1b[H\x1b[2J")
				}
				t.print(p.out)
				if !c.Bool("watch") {
					if len(t) == 1 {
						p.note("no task runs")
					}
					return nil
				}
			}
			before = now
			if err := sleep(c.Context, c.Duration("interval")); err != nil {
				return err
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// used is what something uses: rates, and counters for what is of now.
type used struct {
	name                        string
	now                         host.Counters
	cpu                         meta.CPU
	received, sent, read, wrote int64 // bytes a second
}

// between makes rates of two looks. A counter that became smaller began anew.
func between(name string, before, now host.Counters, d time.Duration) used {
	rate := func(before, now int64) int64 {
		if d <= 0 || now < before {
			return 0
		}
		return int64(float64(now-before) / d.Seconds())
	}
	return used{name: name, now: now,
		cpu:      meta.CPU(rate(before.CPU.Microseconds(), now.CPU.Microseconds()) / 1000),
		received: rate(before.Received, now.Received), sent: rate(before.Sent, now.Sent),
		read: rate(before.Read, now.Read), wrote: rate(before.Wrote, now.Wrote)}
}

func (u used) cells() []string {
	return []string{perSecond(u.received), perSecond(u.sent), perSecond(u.read), perSecond(u.wrote), fmt.Sprint(u.now.Pids)}
}

func perSecond(n int64) string { return v1.Size(meta.Bytes(n)) + "/s" }

func taskTable(nodes []span, by func(a, b used) int) table {
	var all []used
	for _, l := range nodes {
		was := map[string]host.TaskUsage{}
		for _, t := range l.before.Tasks {
			was[t.Name] = t
		}
		for _, t := range l.now.Tasks {
			old, known := was[t.Name]
			if !known || old.Attempt != t.Attempt {
				old.Counters = t.Counters // its rate is not known yet
			}
			all = append(all, between(t.Name, old.Counters, t.Counters, l.now.Time.Sub(l.before.Time)))
		}
	}
	slices.SortStableFunc(all, func(a, b used) int { return cmp.Or(by(a, b), strings.Compare(a.name, b.name)) })
	t := table{{"NAME", "CPU", "MEMORY", "LIMIT", "RECEIVED", "SENT", "READ", "WRITTEN", "PIDS"}}
	for _, u := range all {
		limit := ""
		if u.now.MemoryLimit > 0 {
			limit = v1.Size(meta.Bytes(u.now.MemoryLimit))
		}
		t = append(t, append([]string{u.name, u.cpu.String(), v1.Size(meta.Bytes(u.now.Memory)), limit}, u.cells()...))
	}
	return t
}

func nodeTable(nodes []span, by func(a, b used) int) table {
	t := table{{"NAME", "CPU", "CPU%", "MEMORY", "MEMORY%", "DISK", "DISK%", "RECEIVED", "SENT", "READ", "WRITTEN", "PIDS"}}
	rows := map[string][]string{}
	var all []used
	for _, l := range nodes {
		now, u := l.now, between(l.now.Node, l.before.Total, l.now.Total, l.now.Time.Sub(l.before.Time))
		all = append(all, u)
		rows[u.name] = append([]string{u.name, u.cpu.String(), percent(int64(u.cpu), 1000*int64(now.Cores)),
			v1.Size(meta.Bytes(u.now.Memory)), percent(u.now.Memory, u.now.MemoryLimit),
			v1.Size(meta.Bytes(now.DiskUsed)), percent(now.DiskUsed, now.DiskSize)}, u.cells()...)
	}
	slices.SortStableFunc(all, func(a, b used) int { return cmp.Or(by(a, b), strings.Compare(a.name, b.name)) })
	for _, u := range all {
		t = append(t, rows[u.name])
	}
	return t
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", 100*part/whole)
}
