package convert

import (
	"context"
	"fmt"

	"golang.org/x/term"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
)

// maxQuestions is how often a password is asked for.
const maxQuestions = 3

// askForPasswords converts the documents whose passwords are missing or wrong, and asks for these on a terminal, when
// nothing else is shown there. An empty answer leaves the document out.
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

// ask reads a password from the terminal, which does not show it.
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
