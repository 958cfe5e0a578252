package convert

import (
	"context"
	"fmt"

	"golang.org/x/term"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
)

// maxQuestions is how often the password of a document is asked for.
const maxQuestions = 3

// askForPasswords asks on the terminal, if there is one, for passwords that were missing or wrong, and converts the
// documents with them. A document whose password is left empty is skipped.
func (r *runner) askForPasswords(ctx context.Context, streams *invocation.Streams) {
	if !progress.IsTerminal(streams.Stdin) || !progress.IsTerminal(streams.Stderr) || !r.report.Terminal() {
		return
	}
	for range maxQuestions {
		locked := r.locked
		r.locked = nil
		for _, d := range locked {
			if ctx.Err() != nil {
				return
			}
			r.report.Pause()
			password, err := ask(ctx, streams, d)
			if err != nil || password == "" {
				continue
			}
			r.failed.Add(-1)
			r.one(ctx, d, password)
		}
	}
}

// ask reads a password from the terminal without echo.
func ask(ctx context.Context, streams *invocation.Streams, d document) (string, error) {
	fmt.Fprintf(streams.Stderr, "Password of %s (empty to leave it out): ", progress.Printable(d.path))
	terminal := int(streams.Stdin.Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(terminal)
		answers <- answer{text, err}
	}()
	select {
	case given := <-answers:
		fmt.Fprintln(streams.Stderr)
		return string(given.text), given.err
	case <-ctx.Done():
		fmt.Fprintln(streams.Stderr)
		return "", term.Restore(terminal, before)
	}
}
