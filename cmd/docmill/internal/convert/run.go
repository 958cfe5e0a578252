package convert

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
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
	stdin    *os.File
	stdout   io.Writer
	parallel int
	report   progress.Reporter
	// forget is called with each job that is not needed any longer.
	forget func(job client.Job)

	failed atomic.Int64

	mu sync.Mutex
	// locked are the documents whose password is missing or wrong.
	locked []document
	// ours maps documents to the results that this command has stored, which it may replace.
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

// one converts a document and reports the outcome. The password, unless it is empty, replaces that of the options.
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

// convert converts a document, and returns its job and the path of its result. The job is the zero value if the document
// was not accepted.
func (r *runner) convert(ctx context.Context, d document, password string, track progress.Track) (client.Job, string, error) {
	target, err := r.open(d)
	if err != nil {
		return client.Job{}, "", err
	}
	job, err := r.submit(ctx, d, password, track)
	if err != nil {
		return job, "", err
	}
	defer func() { r.forget(job) }()
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
	if job.Result == nil {
		return job, "", errors.New("the server sent no result")
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
	source, size, err := r.source(ctx, d)
	if err != nil {
		return client.Job{}, err
	}
	defer source.Close()
	return r.client.Submit(ctx, d.name, source, size, settings...)
}

// source opens a document, and returns its size or client.UnknownSize. Reads that wait for input fail when ctx ends.
func (r *runner) source(ctx context.Context, d document) (io.ReadCloser, int64, error) {
	file, err := r.stdin, error(nil)
	if d.path != stdin {
		file, err = openFile(ctx, d)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(err, file.Close())
	case info.IsDir():
		return nil, 0, errors.Join(&remote.Fault{Code: remote.CodeUnreadable, Detail: "It is a directory."}, file.Close())
	case !info.Mode().IsRegular() && d.searched():
		return nil, 0, errors.Join(&remote.Fault{Code: remote.CodeUnreadable, Detail: "It is not a regular file any longer."}, file.Close())
	case !info.Mode().IsRegular():
		return unblocked(ctx, file), client.UnknownSize, nil
	case d.path == stdin: // its offset may not be 0
		return file, client.UnknownSize, nil
	default:
		return file, info.Size(), nil
	}
}

// openFile opens the file of a document. A file that was found in a directory may have been replaced by a link or a pipe
// since then.
func openFile(ctx context.Context, d document) (file *os.File, err error) {
	if d.searched() {
		return os.OpenFile(d.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	opened := make(chan *os.File, 1)
	err = invocation.Await(ctx, func() error { // opening a FIFO waits for a writer
		file, err := os.Open(d.path)
		opened <- file
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-opened, nil
}

// unblocked returns a reader of a pipe or terminal whose reads fail as soon as ctx ends. The file itself is closed later,
// when its last read has returned.
func unblocked(ctx context.Context, file *os.File) io.ReadCloser {
	reader, writer := io.Pipe()
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer file.Close()
		defer stop()
		_, err := io.Copy(writer, file)
		writer.CloseWithError(err)
	}()
	return reader
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
