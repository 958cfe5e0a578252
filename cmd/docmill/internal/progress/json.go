package progress

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
)

// jsonLines writes one JSON object for each document.
type jsonLines struct {
	Options

	mu sync.Mutex
}

// NewJSON returns the reporter for programs.
func NewJSON(options Options) Reporter { return &jsonLines{Options: options} }

// line is the object about a document. Members without a value are omitted.
type line struct {
	Document    string           `json:"document"`
	Status      client.Status    `json:"status"`
	Result      string           `json:"result,omitempty"`
	ContentType string           `json:"content_type,omitempty"`
	Size        int64            `json:"size,omitempty"`
	SHA256      string           `json:"sha256,omitempty"`
	Pages       int              `json:"pages,omitempty"`
	Seconds     float64          `json:"seconds"`
	Job         string           `json:"job,omitempty"`
	Warnings    []client.Warning `json:"warnings,omitempty"`
	Error       *remote.Fault    `json:"error,omitempty"`
}

// Begin implements Reporter.
func (j *jsonLines) Begin(string) Track { return jsonTrack{reporter: j} }

// Note implements Reporter.
func (j *jsonLines) Note(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintln(j.Stderr, strings.TrimSuffix(text, "\n"))
}

// Terminal implements Reporter.
func (j *jsonLines) Terminal() bool { return false }

// Pause implements Reporter.
func (j *jsonLines) Pause() {}

// Close implements Reporter.
func (j *jsonLines) Close() {}

type jsonTrack struct {
	lineTrack

	reporter *jsonLines
}

// End implements Track.
func (t jsonTrack) End(o Outcome) {
	l := line{
		Document: o.Document, Status: client.Succeeded, Result: o.Result, Seconds: o.Seconds, Job: o.Job.ID, Warnings: o.Job.Warnings, Error: o.Error,
	}
	if o.Error != nil {
		l.Status, l.Result = client.Failed, ""
	} else if r := o.Job.Result; r != nil {
		l.ContentType, l.Size, l.SHA256, l.Pages = r.ContentType, r.Size, r.SHA256, r.Pages
	}
	t.reporter.mu.Lock()
	defer t.reporter.mu.Unlock()
	_ = json.NewEncoder(t.reporter.Stdout).Encode(l) // if nothing reads it, SIGPIPE ends the command
}
