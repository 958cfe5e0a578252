// Package acceptance tests Docmill as its users and operators see it: built programs, run as processes and used over
// HTTP, including faults. Tests that apply to both editions run against both.
package acceptance_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/contracttest"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

const project = "../.."

// patience limits a whole test. It does not measure speed: the limit of a single conversion is already 2 minutes.
const patience = 10 * time.Minute

// edition is one of the two ways to run Docmill.
type edition string

const (
	// services are the three services on RabbitMQ, PostgreSQL and MinIO.
	services edition = "services"
	// embedded is all services in one process.
	embedded edition = "embedded"
)

// forBoth runs a test once for each edition.
func forBoth(t *testing.T, test func(t *testing.T, on edition)) {
	t.Helper()
	for _, on := range []edition{services, embedded} {
		t.Run(string(on), func(t *testing.T) {
			t.Parallel()
			test(t, on)
		})
	}
}

// binaries builds all programs, once per test process, and returns their directory.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "docmill-acceptance-")
	if err != nil {
		return "", err
	}
	return dir, system.Build(context.Background(), project, dir, append(system.Services(), system.Single())...)
})

func TestMain(m *testing.M) { testbench.Main(m) }

type testBundle struct {
	ctx    context.Context
	system *system.System
	client *client.Client
	// contract is the transport of client, which checks what passes through it.
	contract *contracttest.Transport
	// logs is the directory of the log files, and data the data directory of the embedded edition.
	logs, data string
	// bench is that of the services, if setup has started them.
	bench *testbench.Bench
}

// setup starts a Docmill for the test, with additional settings for its converter.
func setup(t *testing.T, on edition, converter ...string) *testBundle {
	t.Helper()
	if on == embedded {
		return startEmbedded(t, filepath.Join(t.TempDir(), "data"), converter...)
	}
	bench := testbench.New(t)
	b := setupServices(t, bench, converter...)
	b.bench = bench
	return b
}

// startEmbedded starts `docmill serve` on that data directory.
func startEmbedded(t *testing.T, data string, converter ...string) *testBundle {
	t.Helper()
	return start(t, embedded, system.Options{Data: data, Env: map[string][]string{system.Embedded: converter}})
}

// setupServices starts the three services on that bench.
func setupServices(t *testing.T, bench *testbench.Bench, converter ...string) *testBundle {
	t.Helper()
	return start(t, services, system.Options{Space: bench.Space, Env: map[string][]string{system.Converter: converter}})
}

func start(t *testing.T, on edition, options system.Options) *testBundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	built, err := binaries()
	require.NoError(t, err)
	options.Binaries, options.LogDir = built, t.TempDir()
	run := system.Start
	if on == embedded {
		run = system.StartEmbedded
	}
	s, err := run(ctx, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	contract := newContract(t, s.URL())
	return &testBundle{
		ctx: ctx, system: s, contract: contract,
		client: client.New(s.URL(), once(), client.WithHTTPClient(&http.Client{Transport: contract})),
		logs:   options.LogDir, data: options.Data,
	}
}

// newContract returns a transport to the server that fails the test if a request or a response violates the contract.
func newContract(t *testing.T, url string) *contracttest.Transport {
	t.Helper()
	contract, err := contracttest.Fetch(t.Context(), url)
	require.NoError(t, err)
	report := func(violation error) { t.Error(violation) }
	base := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(base.CloseIdleConnections)
	return &contracttest.Transport{Contract: contract, Base: base, Report: report}
}

// once lets tests see every failure.
func once() client.Option { return client.WithRetries(client.Retries{Tries: 1}) }

func document(name string) string { return filepath.Join(project, "testdata", name) }

func (b *testBundle) submit(t *testing.T, name string) client.Job {
	t.Helper()
	job, err := b.client.SubmitFile(b.ctx, document(name))
	require.NoError(t, err)
	return job
}

// succeed waits until the job has succeeded, and downloads its result, whose size and SHA-256 the client checks.
func (b *testBundle) succeed(t *testing.T, job client.Job) client.Job {
	t.Helper()
	job, err := b.client.Wait(b.ctx, job)
	require.NoError(t, err)
	require.NoError(t, b.client.Download(b.ctx, job, io.Discard))
	return job
}

// fail waits until the job has failed with that code.
func (b *testBundle) fail(t *testing.T, job client.Job, code client.Code) client.Job {
	t.Helper()
	job, err := b.client.Wait(b.ctx, job)
	var failure *client.JobError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, code, failure.Code)
	require.Equal(t, client.Failed, job.Status)
	return job
}

// until follows the job until its state is that one.
func (b *testBundle) until(t *testing.T, job client.Job, status client.Status) {
	t.Helper()
	for now, err := range b.client.Events(b.ctx, job.ID) {
		require.NoError(t, err)
		if now.Status == status {
			return
		}
	}
	require.Fail(t, "the job ended before it was seen "+string(status))
}

func TestEachSubmissionCanBePolledImmediately(t *testing.T) {
	t.Parallel()
	forBoth(t, testEachSubmissionCanBePolledImmediately)
}

func testEachSubmissionCanBePolledImmediately(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	jobs := make([]client.Job, 40)
	for i := range jobs {
		text := fmt.Sprintf("Letter number %d.", i)
		job, err := b.client.Submit(b.ctx, "letter.txt", strings.NewReader(text), int64(len(text)))
		require.NoError(t, err)
		jobs[i], err = b.client.Job(b.ctx, job.ID)
		require.NoError(t, err, "a poll immediately after the 202 finds the job")
	}
	seen := map[string]bool{}
	for _, job := range jobs {
		job = b.succeed(t, job)
		require.Equal(t, 1, job.Result.Pages)
		require.Equal(t, "letter.pdf", job.Result.Filename)
		require.Equal(t, 1, job.Attempt)
		seen[job.ID] = true
	}
	require.Len(t, seen, len(jobs))
}

func TestEveryDocumentHasItsExpectedOutcome(t *testing.T) {
	t.Parallel()
	forBoth(t, testEveryDocumentHasItsExpectedOutcome)
}

func testEveryDocumentHasItsExpectedOutcome(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	// The expected outcome of each sample: a number of pages, the code of a failed job, or the code of a rejected
	// submission.
	type outcome struct {
		pages          int
		failed, reject client.Code
	}
	outcomes := map[string]outcome{
		"sample.pptx": {pages: 19},
		"aspose.slides-for-.net__HiddingSlides.pptx":        {pages: 2},
		"aspose.slides-for-.net__Print.ppt":                 {pages: 2},
		"docling__equations.docx":                           {pages: 3}, // 2 without LibreOffice Math, and no formulas
		"docling__legacy_sample.doc":                        {pages: 2},
		"gembox.presentation.examples__SampleVba.pptm":      {pages: 1},
		"gotenberg__libreoffice-linked-external.fodt":       {pages: 1},
		"officeimo__SampleFileRTF.rtf":                      {pages: 4},
		"open-xml-sdk__AllSlidesConverterTC.pptx":           {pages: 5},
		"python-pptx__no-slides.pptx":                       {failed: "document-empty"},
		"synth-deck.ppsx":                                   {pages: 2},
		"synth-deck.potx":                                   {pages: 2},
		"synth-letter.odt":                                  {pages: 1},
		"synth-letter.txt":                                  {pages: 1},
		"synth-table.csv":                                   {pages: 1},
		"synth-table.ods":                                   {pages: 1},
		"synth-table.xls":                                   {pages: 1},
		"synth-all-hidden.pptx":                             {failed: "document-empty"},
		"excelize__encryptSHA512.xlsx":                      {reject: "password-required"},
		"gembox.presentation.examples__PptxEncryption.pptx": {reject: "password-required"},
		"gotenberg__protected_page_1.docx":                  {reject: "password-required"},
		"msoffcrypto-tool__rc4cryptoapi_password.ppt":       {reject: "password-required"},
		"unoserver__simple.encrypted.odt":                   {reject: "password-required"},
		"synth-png-named.pptx":                              {reject: "file-type-contradicted"},
	}
	for name, want := range outcomes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, err := b.client.SubmitFile(b.ctx, document(name))
			if want.reject != "" {
				var refusal *client.Problem
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, want.reject, refusal.Code)
				return
			}
			require.NoError(t, err)
			if want.failed != "" {
				b.fail(t, job, want.failed)
				return
			}
			require.Equal(t, want.pages, b.succeed(t, job).Result.Pages)
		})
	}
}

// TestConverterKilledDuringAConversion checks that the next converter converts what a killed one had in progress.
func TestConverterKilledDuringAConversion(t *testing.T) {
	t.Parallel()
	forBoth(t, testConverterKilledDuringAConversion)
}

func testConverterKilledDuringAConversion(t *testing.T, on edition) {
	t.Helper()
	b := setup(t, on)
	job := b.submit(t, "odftoolkit__Presentation7.odp") // takes seconds
	b.until(t, job, client.Running)
	require.NoError(t, b.system.Converter.Kill())
	require.NoError(t, b.system.Converter.Start(b.ctx))
	job = b.succeed(t, job)
	if on == services {
		require.Greater(t, job.Attempt, 1)
	} else { // a death of the process does not count as an attempt
		require.Equal(t, 1, job.Attempt)
	}
	require.Equal(t, 100, job.Result.Pages)
}

// TestServersFailAndRecover checks that no accepted job is lost when a server fails while jobs run, and that no service
// needs a restart.
func TestServersFailAndRecover(t *testing.T) {
	t.Parallel()
	bench := testbench.NewPrivate(t)
	b := setupServices(t, bench)
	const name = "aspose.slides-for-.net__HiddingSlides.pptx"
	var accepted []client.Job
	submit := func(n int) {
		for range n {
			accepted = append(accepted, b.submit(t, name))
		}
	}

	submit(2)
	require.NoError(t, bench.Servers.PostgreSQL.Stop(b.ctx))
	submit(4) // accepted and converted without the database
	_, err := b.client.Job(b.ctx, accepted[0].ID)
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeStatusUnavailable, problem.Code)
	require.NoError(t, bench.Servers.PostgreSQL.Start(b.ctx))
	b.ready(t, b.system.Status)

	submit(2)
	require.NoError(t, bench.Servers.RabbitMQ.Kill())
	_, err = b.client.SubmitFile(b.ctx, document(name))
	require.ErrorAs(t, err, &problem)
	require.Contains(t, []client.Code{client.CodeQueueUnavailable, client.CodeQueueUnconfirmed}, problem.Code)
	require.NoError(t, bench.Servers.RabbitMQ.Start(b.ctx))
	for _, service := range b.system.Services() {
		b.ready(t, service)
	}

	submit(2)
	require.NoError(t, bench.Servers.MinIO.Kill())
	_, err = b.client.SubmitFile(b.ctx, document(name))
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeStoreUnavailable, problem.Code)
	require.NoError(t, bench.Servers.MinIO.Start(b.ctx))
	b.ready(t, b.system.Gateway)

	submit(2)
	for _, job := range accepted {
		require.Equal(t, 2, b.succeed(t, job).Result.Pages)
	}
}

// ready waits until the service is ready again.
func (b *testBundle) ready(t *testing.T, service *system.Service) {
	t.Helper()
	isReady := func() bool { return service.Ready(b.ctx) == nil }
	require.Eventually(t, isReady, 2*time.Minute, 50*time.Millisecond, service.Name())
}

// TestNoFilesAreLeft checks that after a successful job, a failed job and a stop, no files of documents are left on the
// converter's disk. Only the lock remains, which several converters on one machine share.
func TestNoFilesAreLeft(t *testing.T) {
	t.Parallel()
	forBoth(t, testNoFilesAreLeft)
}

func testNoFilesAreLeft(t *testing.T, on edition) {
	t.Helper()
	work := t.TempDir()
	b := setup(t, on, "DOCMILL_WORK_DIR="+work)
	b.succeed(t, b.submit(t, "synth-letter.odt"))
	b.fail(t, b.submit(t, "synth-all-hidden.pptx"), client.CodeDocumentEmpty)
	require.NoError(t, b.system.Stop(b.ctx))
	require.NoError(t, filepath.WalkDir(work, func(path string, entry fs.DirEntry, err error) error {
		require.True(t, err != nil || entry.IsDir() || entry.Name() == ".lock", "left behind: %s", path)
		return err
	}))
}
