package convert

import (
	"context"
	"io"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/progress"
	"github.com/docmill/docmill/cmd/docmill/internal/remote"
	"github.com/docmill/docmill/contract/option"
)

// runner converts documents. It is safe for concurrent use.
type runner struct {
	client   *client.Client
	options  map[string]string
	target   string
	force    bool
	stdin    io.Reader
	stdout   io.Writer
	parallel int
	report   progress.Reporter

	failed atomic.Int64

	mu sync.Mutex
	// locked are the documents whose password is missing or wrong.
	locked []document
	// ours are the results that this command has stored, by their documents. They may be replaced.
	ours map[string]string
}

// all converts documents, several at a time, and returns when it has tried all or ctx has ended.
func (r *runner) all(ctx context.Context, documents []document) {
	queue := make(chan document)
	go func() {
		defer close(queue)
		for _, d := range documents {
			select {
			case queue <- d:
			case <-ctx.Done():
				return
			}
		}
	}()
	r.each(ctx, queue, func(document) {})
}

// each converts the documents of a queue until it is closed or ctx has ended, and calls done after each.
func (r *runner) each(ctx context.Context, queue <-chan document, done func(document)) {
	var workers sync.WaitGroup
	for range r.parallel {
		workers.Go(func() {
			for d := range queue {
				if ctx.Err() != nil {
					return
				}
				r.one(ctx, d, "")
				done(d)
			}
		})
	}
	workers.Wait()
}

// one converts a document and reports the outcome. A password replaces that of the options.
func (r *runner) one(ctx context.Context, d document, password string) {
	track := r.report.Begin(d.path)
	began := time.Now()
	job, result, err := r.convert(ctx, d, password, track)
	if err != nil && ctx.Err() != nil { // the command is being stopped
		track.Abandon()
		return
	}
	outcome := progress.Outcome{Document: d.path, Result: result, Job: job, Seconds: time.Since(began).Seconds()}
	if err != nil {
		outcome.Error = remote.Explain(err)
		if d.path != stdin && (outcome.Error.Code == client.CodePasswordRequired || outcome.Error.Code == client.CodePasswordWrong) {
			r.mu.Lock()
			r.locked = append(r.locked, d)
			r.mu.Unlock()
		}
		r.failed.Add(1)
	}
	track.End(outcome)
}

// convert converts a document and returns its job, as far as there is one, and the path of its result.
func (r *runner) convert(ctx context.Context, d document, password string, track progress.Track) (client.Job, string, error) {
	target, err := r.open(d)
	if err != nil {
		return client.Job{}, "", err
	}
	job, err := r.submit(ctx, d, password, track)
	if err != nil {
		return job, "", err
	}
	for latest, err := range r.client.Events(ctx, job.ID) {
		if err != nil {
			break // Wait polls instead
		}
		job = latest
		track.Update(job)
	}
	if job, err = r.client.Wait(ctx, job); err != nil {
		return job, "", err
	}
	track.Download()
	path, err := target.store(ctx, r.client, job)
	if err == nil {
		r.remember(d, path)
	}
	return job, path, err
}

// submit uploads a document.
func (r *runner) submit(ctx context.Context, d document, password string, track progress.Track) (client.Job, error) {
	options := r.options
	if password != "" {
		options = maps.Clone(options)
		options[string(option.Password)] = password
	}
	settings := []client.SubmitOption{client.WithOptions(options), client.WithProgress(track.Upload)}
	if d.path == stdin {
		return r.client.Submit(ctx, d.name, r.stdin, client.UnknownSize, settings...)
	}
	if info, err := os.Stat(d.path); err == nil && info.IsDir() { // since it was looked at
		return client.Job{}, &remote.Fault{Code: remote.CodeUnreadable, Detail: "It is a directory."}
	}
	return r.client.SubmitFile(ctx, d.path, settings...)
}

func (r *runner) remember(d document, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ours == nil {
		r.ours = map[string]string{}
	}
	r.ours[d.path] = path
}

// mayReplace reports whether a file may be replaced by the result of a document.
func (r *runner) mayReplace(d document, path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.force || r.ours[d.path] == path
}
