// Package progress shows the progress and the outcome of conversions: bars on a terminal, lines otherwise, or JSON.
package progress

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
)

// Reporter shows the progress of documents. It is safe for concurrent use.
type Reporter interface {
	// Begin is called when the work on a document begins.
	Begin(document string) Track
	// Note prints a text to the standard error.
	Note(text string)
	// Terminal reports whether progress is shown on a terminal.
	Terminal() bool
	// Pause removes the bars from the terminal until another method is called.
	Pause()
	// Close removes the bars and prints the summary. It can be called several times.
	Close()
}

// Track shows the progress of one document. Its methods are called in this order, and the last one is End or Abandon.
type Track interface {
	// Upload is called with the bytes sent and the size of the document, or client.UnknownSize.
	Upload(sent, total int64)
	// Update is called with each state of the job.
	Update(job client.Job)
	// Download is called when the result is being downloaded.
	Download()
	// End is called with the outcome.
	End(outcome Outcome)
	// Abandon is called instead if the command is being stopped.
	Abandon()
}

// Outcome is the outcome of the conversion of a document.
type Outcome struct {
	// Document is the path of the document.
	Document string
	// Result is the path of the result; "-" for the standard output.
	Result string
	// Job is the last known state of its job; the zero value if there was none.
	Job client.Job
	// Seconds is how long it took, with upload and download.
	Seconds float64
	// Error is the reason why the document was not converted; nil if it was.
	Error *remote.Fault
}

// Options are the parameters of a reporter.
type Options struct {
	Stdout, Stderr *os.File
	// StdoutTaken is set if the result goes to the standard output.
	StdoutTaken bool
	// Quiet leaves out everything but errors.
	Quiet bool
	// Total is the number of documents; 0 if it is not known.
	Total int
}

// New returns the reporter for people: with bars if the standard error is a terminal.
func New(options Options) Reporter {
	lines := &lines{Options: options}
	if options.Quiet || !IsTerminal(options.Stderr) || os.Getenv("TERM") == "dumb" {
		return lines
	}
	return newBars(lines)
}

// IsTerminal reports whether a file is a terminal.
func IsTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// Printable returns a text, such as a file name or what a server said, for a line on a terminal. Characters that are not
// printable are escaped: control characters could move the cursor or forge lines.
func Printable(text string) string {
	var safe strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			safe.WriteRune(r)
		} else {
			safe.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return safe.String()
}

// Writer returns a writer that passes each write to [Reporter.Note], for logs.
func Writer(reporter Reporter) io.Writer { return writer{reporter} }

type writer struct{ reporter Reporter }

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	w.reporter.Note(string(p))
	return len(p), nil
}
