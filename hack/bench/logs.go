package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	writers   = 20
	lineWidth = 100
	lineRate  = 10_000 // a second and task
)

// measureLogs follows tasks that write as fast as they may, and reads all of it again afterwards.
func measureLogs(ctx context.Context, b *bench) error {
	return b.with(ctx, func(nodes ...*node) error {
		n, lines := nodes[0], b.rounds(60_000, 20_000)
		s := service("flood", writers)
		s.Spec.Args = []string{"-lines", strconv.Itoa(lines), "-rate", strconv.Itoa(lineRate), "-width", strconv.Itoa(lineWidth)}
		before, err1 := readMemory(n.pid)
		cpu, err2 := cpuTime(n.pid)
		if err := errors.Join(err1, err2, n.create(ctx, s)); err != nil {
			return err
		}
		f, err := b.readLogs(ctx, n, lines, "logs", "-f", "service/flood")
		if err != nil {
			return err
		}
		after, err1 := readMemory(n.pid)
		served, err2 := cpuTime(n.pid)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		b.reportLogs(f, lines, before, after, served-cpu)
		var rates []float64
		for range b.rounds(5, 3) {
			all, err := b.readLogs(ctx, n, lines, "logs", "service/flood")
			if err != nil {
				return err
			}
			rates = append(rates, all.rate())
		}
		b.report.add(row{Name: "logs of all that was written", Value: median(rates), Unit: "lines/s", Samples: len(rates), Note: "in order of time over all tasks"})
		return n.remove(ctx, "flood")
	}, "logs")
}

func (b *bench) reportLogs(f *flood, lines int, before, after memory, served time.Duration) {
	b.report.add(
		row{Name: fmt.Sprintf("logs -f of %d tasks", writers), Value: f.rate(), Unit: "lines/s", Samples: 1,
			Note: fmt.Sprintf("%d lines of %d bytes, asked to write %d lines/s together; from the first line to the last", writers*lines, lineWidth, writers*lineRate)},
		row{Name: "lines lost or out of order", Value: float64(writers*lines - f.inOrder), Unit: "lines", None: true, Hard: true, Note: strings.TrimSpace(f.said)},
		row{Name: "memory of warrenctl meanwhile", Value: float64(f.peak) / mib, Unit: "MiB RSS", Note: fmt.Sprintf("at most, its program's pages included; %.1f s of processor time", f.cpu.Seconds())},
		row{Name: "memory of warren afterwards", Value: float64(after.pss) / mib, Unit: "MiB PSS",
			Note: fmt.Sprintf("anonymous %.1f MiB; %.1f before; %.1f s of processor time, starting the tasks included", float64(after.anonymous)/mib, float64(before.pss)/mib, served.Seconds())},
	)
}

// flood is what was read of the tasks' lines.
type flood struct {
	last    map[string]int // the number of the last line, by task
	inOrder int            // lines that came after the one before
	ended   int            // tasks whose last line came
	took    time.Duration
	cpu     time.Duration
	peak    int64
	said    string
}

func (f *flood) rate() float64 { return float64(f.inOrder) / f.took.Seconds() }

// take notes one line like "flood-1-1 | line 12 xxx". What else the tasks say has no number.
func (f *flood) take(line []byte, lines int) {
	task, text, _ := bytes.Cut(line, []byte("|"))
	text, ok := bytes.CutPrefix(text, []byte(" line "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	task = bytes.TrimSpace(task) // names are made as wide as the widest that came so far
	n, err := strconv.Atoi(string(number))
	if !ok || err != nil {
		return
	}
	if n == f.last[string(task)]+1 {
		f.inOrder++
	}
	f.last[string(task)] = n
	if n == lines {
		f.ended++
	}
}

// readLogs runs warrenctl until it ends or the last line of every task has come.
func (b *bench) readLogs(ctx context.Context, n *node, lines int, args ...string) (*flood, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.warrenctl, args...)
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = n.env(), &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &flood{last: map[string]int{}}
	var began time.Time
	in := bufio.NewScanner(out)
	for read := 0; f.ended < writers && in.Scan(); read++ {
		if began.IsZero() {
			began = time.Now()
		}
		f.take(in.Bytes(), lines)
		if f.took = time.Since(began); read%10_000 == 0 {
			f.peak = max(f.peak, peakMemory(cmd.Process.Pid))
		}
	}
	f.peak = max(f.peak, peakMemory(cmd.Process.Pid))
	_ = cmd.Process.Signal(syscall.SIGINT) // one that follows has no end of its own
	err = cmd.Wait()
	f.cpu, f.said = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), said.String()
	if f.ended < writers {
		return nil, fmt.Errorf("warrenctl %v: the last lines of %d tasks did not come: %w: %s", args, writers-f.ended, errors.Join(err, ctx.Err()), &said)
	}
	return f, nil
}
