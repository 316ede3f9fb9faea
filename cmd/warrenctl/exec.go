package warrenctl

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
)

// codeNoCommand is what shells answer for a command that is not there.
const codeNoCommand = 127

func (p *program) execVerb() *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a running task", ArgsUsage: "TASK|service/NAME [-it] -- COMMAND [ARG...]",
		Description: "The command runs as the task does: its user, directory, environment and limits. Its exit code is warrenctl's; 127\n" +
			"if there is no such command. Signals go to the command; when warrenctl is killed, so is the command.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "stdin", Aliases: []string{"i"}, Usage: "give it this standard input"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give it a terminal"},
		},
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) < 2 {
				return try(usagef("run what where?"), "warrenctl exec TASK -- COMMAND")
			}
			s, err := p.server(c)
			if err != nil {
				return err
			}
			task, err := taskNamed(c.Context, s, words[0])
			if err != nil {
				return err
			}
			command := host.Command{Args: words[1:], TTY: c.Bool("tty"), Stdout: p.out, Stderr: p.err}
			if c.Bool("stdin") {
				command.Stdin = p.in
			}
			code, err := p.runIn(c.Context, s, task, command)
			switch {
			case errors.Is(err, host.ErrNoCommand):
				return &exit{error: err, code: codeNoCommand}
			case err != nil:
				return insideError(c.Context, s, task, err)
			}
			if code == 0 {
				return nil
			}
			return &exit{code: code}
		},
	}
}

// forwarded are the signals that go to the command instead of ending warrenctl.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// runIn runs a command with the signals of this process and, if it gets one, the terminal.
func (p *program) runIn(ctx context.Context, s host.Inside, task string, c host.Command) (int, error) {
	ctx = context.WithoutCancel(ctx) // which signals end
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append(forwarded, syscall.SIGWINCH)...)
	defer signal.Stop(signals)
	if c.TTY {
		c.Term = os.Getenv("TERM")
		c.Size, _ = terminalSize(p.out)
		restore, err := rawTerminal(p.in)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	events := make(chan host.CommandEvent)
	c.Events = events
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case x := <-signals:
				e, ok := p.event(x, c.TTY)
				if !ok {
					continue
				}
				select {
				case events <- e:
				case <-ended:
				}
			}
		}
	}()
	return s.Exec(ctx, task, c)
}

// event is what a signal means for the command.
func (p *program) event(x os.Signal, tty bool) (host.CommandEvent, bool) {
	if x == syscall.SIGWINCH {
		size, ok := terminalSize(p.out)
		return host.CommandEvent{Size: size}, ok && tty
	}
	name := unix.SignalName(x.(syscall.Signal))
	return host.CommandEvent{Signal: name}, name != ""
}

// terminalSize asks the terminal behind a stream, or that of the whole program's input.
func terminalSize(stream io.Writer) (host.TerminalSize, bool) {
	if w, ok := stream.(*whole); ok {
		stream = w.Writer
	}
	for _, f := range []any{stream, os.Stdin} {
		if file, ok := f.(*os.File); ok {
			if w, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil {
				return host.TerminalSize{Width: uint32(w.Col), Height: uint32(w.Row)}, true
			}
		}
	}
	return host.TerminalSize{}, false
}

// rawTerminal lets every key through to the other side, and returns how to undo that. What is no terminal stays as it is.
func rawTerminal(in io.Reader) (restore func(), err error) {
	f, ok := in.(*os.File)
	if !ok {
		return func() {}, nil
	}
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}, nil
	}
	raw := *was
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }, nil
}
