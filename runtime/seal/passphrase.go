package seal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Variable is where a passphrase is looked for if no file was named.
const Variable = "WARREN_PASSPHRASE"

// shortest is what a new passphrase must have: rounds do not help against a guess at the first try.
const shortest = 8

// ErrNoPassphrase means that nobody said one.
var ErrNoPassphrase = errors.New("a passphrase is needed, and there is no terminal to ask at")

// Passphrase reads one from a file, or else from the environment, or else from the terminal, where it is not shown. For a new one
// the terminal asks twice, and it must not be too short.
func Passphrase(file string, getenv func(string) string, fresh bool) (string, error) {
	p, err := find(file, getenv, fresh)
	if err == nil && p == "" {
		err = errors.New("the passphrase is empty")
	}
	if err == nil && fresh && len(p) < shortest {
		err = fmt.Errorf("the passphrase is too short: write %d characters at least", shortest)
	}
	return p, err
}

func find(file string, getenv func(string) string, fresh bool) (string, error) {
	if file != "" {
		return fromFile(file)
	}
	if p := getenv(Variable); p != "" {
		return p, nil
	}
	p, err := ask(os.Stdin, "Passphrase: ")
	if err != nil || !fresh {
		return p, err
	}
	again, err := ask(os.Stdin, "Once more: ")
	if err == nil && again != p {
		err = errors.New("the two passphrases differ")
	}
	return p, err
}

// fromFile takes the first line: an editor ends it with a newline that nobody meant.
func fromFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// ask reads a line that the terminal does not show.
func ask(tty *os.File, prompt string) (string, error) {
	fd := int(tty.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", ErrNoPassphrase
	}
	silent := *was
	silent.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, was)
		_, _ = fmt.Fprintln(os.Stderr)
	}()
	_, _ = fmt.Fprint(os.Stderr, prompt)
	line, err := bufio.NewReader(tty).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
