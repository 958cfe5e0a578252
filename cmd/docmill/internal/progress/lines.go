package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
)

// lines prints a line for each document that has ended: results to the standard output, errors to the standard error.
type lines struct {
	Options

	mu    sync.Mutex
	began time.Time
	// failed has whether the last conversion of each document failed. A document is converted again after the user has
	// entered its password.
	failed map[string]bool
	closed bool
}

// Begin implements Reporter.
func (l *lines) Begin(string) Track {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() {
		l.began = time.Now()
	}
	return lineTrack{l}
}

// Note implements Reporter.
func (l *lines) Note(text string) { l.write(l.Stderr, text) }

// Terminal implements Reporter.
func (l *lines) Terminal() bool { return !l.Quiet && IsTerminal(l.Stderr) }

// Pause implements Reporter.
func (l *lines) Pause() {}

// Close implements Reporter. It prints a summary of several documents.
func (l *lines) Close() {
	if text := l.summary(); text != "" {
		l.Note(text)
	}
}

func (l *lines) write(to io.Writer, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(to, strings.TrimSuffix(text, "\n"))
}

// summary returns the summary of several documents, and "" after that.
func (l *lines) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended, failed := len(l.failed), 0
	for _, f := range l.failed {
		if f {
			failed++
		}
	}
	if l.closed || l.Quiet || ended < 2 {
		return ""
	}
	l.closed = true
	took := time.Since(l.began)
	text := fmt.Sprintf("%d converted, %d failed", ended-failed, failed)
	if left := l.Total - ended; left > 0 {
		text += fmt.Sprintf(", %d not tried", left)
	}
	return fmt.Sprintf("%s in %.1f s", text, took.Seconds())
}

// count counts an outcome.
func (l *lines) count(o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = map[string]bool{}
	}
	l.failed[o.Document] = o.Error != nil
}

// lineTrack shows only the outcome.
type lineTrack struct{ lines *lines }

// Upload implements Track.
func (lineTrack) Upload(int64, int64) {}

// Update implements Track.
func (lineTrack) Update(client.Job) {}

// Download implements Track.
func (lineTrack) Download() {}

// Abandon implements Track.
func (lineTrack) Abandon() {}

// End implements Track.
func (t lineTrack) End(o Outcome) {
	t.lines.count(o)
	if text := t.lines.success(o); text != "" {
		t.lines.write(t.lines.Stdout, text)
	}
	if text := t.lines.remarks(o); text != "" {
		t.lines.write(t.lines.Stderr, text)
	}
}

// success returns the line about a result. It returns "" if there is no result, if the result went to the standard output,
// and if Quiet is set.
func (l *lines) success(o Outcome) string {
	r := o.Job.Result
	if o.Error != nil || r == nil || l.StdoutTaken || l.Quiet {
		return ""
	}
	size := humanize.IBytes(uint64(max(r.Size, 0)))
	if r.Pages > 0 {
		size = Plural(r.Pages, "page") + ", " + size
	}
	return fmt.Sprintf("%s -> %s (%s, %.1f s)", Printable(o.Document), Printable(o.Result), size, o.Seconds)
}

// remarks returns the lines about the error or the warnings of a document.
func (l *lines) remarks(o Outcome) string {
	if o.Error != nil {
		return Failure(o.Document, o.Error)
	}
	var text strings.Builder
	for _, warning := range o.Job.Warnings {
		if !l.Quiet && warning.Severity != client.Information {
			fmt.Fprintf(&text, "%s: warning: %s [%s]\n", Printable(o.Document), Printable(warning.Detail), Printable(string(warning.Code)))
		}
	}
	return text.String()
}

// Failure returns the line about a failure.
func Failure(what string, fault *remote.Fault) string {
	return fmt.Sprintf("%s: error: %s [%s]", Printable(what), Printable(fault.Error()), Printable(string(fault.Code)))
}

// Plural returns "1 page" or "3 pages".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
