package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/docmill/docmill/client"
)

// Document is a document whose conversion has a known result.
type Document struct {
	File    string
	Options map[string]string
	// Pages is the number of pages of the result; 0 if the job is to fail with Code.
	Pages int
	Code  client.Code
	// Signed documents are text files. Each submission gets a line that no other one has.
	Signed bool
}

// Documents are the documents of the load: a sample of every family of formats, with failures that are the document's.
func Documents() []Document {
	const locked = "gotenberg__protected_page_1.docx"
	return []Document{
		{File: "synth-letter.txt", Pages: 1, Signed: true},
		{File: "synth-three-pages.docx", Pages: 3},
		{File: "synth-table.csv", Pages: 1},
		{File: "open-xml-sdk__AllSlidesConverterTC.pptx", Pages: 5},
		{File: "sample.pptx", Pages: 19},
		{File: "docling__legacy_sample.doc", Pages: 2},
		{File: "officeimo__SampleFileRTF.rtf", Pages: 4},
		{File: "synth-letter.txt", Pages: 1, Signed: true},
		{File: locked, Options: map[string]string{"password": "foo"}, Pages: 1},
		{File: locked, Options: map[string]string{"password": "bar"}, Code: client.CodePasswordWrong},
	}
}

// Load submits documents, waits for their jobs, and downloads the results. Its methods are safe for concurrent use.
type Load struct {
	// Testdata is the directory of the documents.
	Testdata string
	Client   *client.Client
	Recorder *Recorder

	mu       sync.Mutex
	accepted int
	finished []client.Job
	// wrong are the jobs that ended in the wrong way, or not at all.
	wrong []string
}

// NewLoad returns a load on the Docmill at the URL. Every request uses a connection of its own, so that one that is refused
// is seen.
func NewLoad(url, testdata string) *Load {
	recorder := &Recorder{Transport: &http.Transport{DisableKeepAlives: true}}
	return &Load{
		Testdata: testdata, Recorder: recorder,
		Client: client.New(url, client.WithHTTPClient(&http.Client{Transport: recorder}), client.WithRetries(client.Retries{Tries: 20})),
	}
}

// jobTimeout is how long a job may take. A command that is lost with its converter is redelivered after a minute or two.
const jobTimeout = 10 * time.Minute

// Convert submits a document and waits until its result has been downloaded and checked. A submission that is not accepted
// is an error; the outcome of an accepted one is recorded.
func (l *Load) Convert(ctx context.Context, d Document) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	content, err := os.ReadFile(filepath.Join(l.Testdata, d.File))
	if err != nil {
		return err
	}
	if d.Signed {
		content = fmt.Appendf(content, "\n\n%s\n", rand.Text())
	}
	job, err := l.Client.Submit(ctx, d.File, bytes.NewReader(content), int64(len(content)), client.WithOptions(d.Options))
	if err != nil {
		return fmt.Errorf("submit %s: %w", d.File, err)
	}
	l.mu.Lock()
	l.accepted++
	l.mu.Unlock()
	ended, err := l.Client.Wait(ctx, job)
	if err == nil || ended.Ended() {
		err = l.check(ctx, d, ended)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong = append(l.wrong, fmt.Sprintf("job %s of %s: %v", job.ID, d.File, err))
		return nil
	}
	l.finished = append(l.finished, ended)
	return nil
}

// check returns an error if a job did not end as its document requires. The client compares the checksum of the result.
func (l *Load) check(ctx context.Context, d Document, job client.Job) error {
	failure := job.Err()
	switch {
	case d.Code != "" && client.IsCode(failure, d.Code):
		return nil
	case failure != nil:
		return failure
	case d.Code != "":
		return fmt.Errorf("it succeeded instead of failing with %s", d.Code)
	case job.Result.Pages != d.Pages:
		return fmt.Errorf("its result has %d pages, not %d", job.Result.Pages, d.Pages)
	}
	return l.Client.Download(ctx, job, io.Discard)
}

// Run keeps a number of conversions in progress until ctx ends, and waits for them.
func (l *Load) Run(ctx context.Context, concurrency int) error {
	var workers sync.WaitGroup
	failures := make([]error, concurrency)
	documents := Documents()
	for i := range concurrency {
		workers.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				failures[i] = errors.Join(failures[i], l.Convert(context.WithoutCancel(ctx), documents[n%len(documents)]))
			}
		})
	}
	workers.Wait()
	return errors.Join(failures...)
}

// Verdict is what a load has seen.
type Verdict struct {
	Accepted, Finished int
	// Wrong describes the jobs that did not end as they should.
	Wrong []string
	// Repeated are the jobs that needed more than one attempt.
	Repeated []string
	Requests int
	// Refused are documented 503s, Failures other 5xx responses, and Broken connections that failed.
	Refused, Failures, Broken []string
}

// Verdict returns what the load has seen so far.
func (l *Load) Verdict() Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Recorder.mu.Lock()
	defer l.Recorder.mu.Unlock()
	v := Verdict{
		Accepted: l.accepted, Finished: len(l.finished), Wrong: slices.Clone(l.wrong), Requests: l.Recorder.requests,
		Refused: l.Recorder.refused, Failures: l.Recorder.failures, Broken: l.Recorder.broken,
	}
	for _, job := range l.finished {
		if job.Attempt > 1 {
			v.Repeated = append(v.Repeated, job.ID)
		}
	}
	return v
}

// String returns a line for the log of the test.
func (v Verdict) String() string {
	return fmt.Sprintf("%d jobs accepted, %d as expected, %d wrong, %d with more than one attempt; %d requests, %d documented 503s, %d other 5xx, %d broken connections",
		v.Accepted, v.Finished, len(v.Wrong), len(v.Repeated), v.Requests, len(v.Refused), len(v.Failures), len(v.Broken))
}
