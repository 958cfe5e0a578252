package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/rabbitmq"
	"github.com/docmill/docmill/platform/s3"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// asConverter is the environment variable that makes the test's own program be the converter.
const asConverter = "TEST_AS_CONVERTER"

// TestMain runs the tests, or, as a child of one of them, the converter: the same code as the built program, and with
// the race detector when the tests have it.
func TestMain(m *testing.M) {
	if os.Getenv(asConverter) != "" {
		main()
	}
	testbench.Main(m)
}

const (
	// patience bounds what a test waits for; the machine may be busy.
	patience = 4 * time.Minute
	testdata = "../../../../testdata/"
)

// bench is the surroundings of a converter process.
type bench struct {
	*testbench.Bench
	t       *testing.T
	store   *s3.Store
	own     message.Publisher
	events  <-chan *message.Delivery
	workDir string
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{Bench: testbench.New(t), t: t, workDir: t.TempDir()}
	var err error
	b.store, err = s3.New(s3.Config{
		Endpoint: b.StoreEndpoint, Region: b.StoreRegion, AccessKey: b.StoreAccessKey, SecretKey: config.NewSecret(b.StoreSecretKey),
	})
	require.NoError(t, err)
	messages, err := rabbitmq.New(rabbitmq.Config{
		URL: b.BrokerURL, Username: b.BrokerUsername, Password: config.NewSecret(b.BrokerPassword),
	}, "test", zaptest.NewLogger(t), nil)
	require.NoError(t, err)
	b.own = messagetest.Publisher(t, messages)
	b.events = merge(t, messagetest.Receive(t, messages, message.Events), messagetest.Receive(t, messages, message.Progress))
	return b
}

// merge returns the deliveries of both channels.
func merge(t *testing.T, one, other <-chan *message.Delivery) <-chan *message.Delivery {
	t.Helper()
	both := make(chan *message.Delivery)
	forward := func(from <-chan *message.Delivery) {
		for {
			select {
			case d := <-from:
				select {
				case both <- d:
				case <-t.Context().Done():
					return
				}
			case <-t.Context().Done():
				return
			}
		}
	}
	go forward(one)
	go forward(other)
	return both
}

// program is a running converter.
type program struct {
	t       *testing.T
	command *exec.Cmd
	admin   string
	log     *bytes.Buffer
	exited  chan error
}

// start runs a converter with this bench's settings.
func (b *bench) start(arguments ...string) *program {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b.t, err)
	require.NoError(b.t, listener.Close()) // for the converter to take
	c := &program{t: b.t, admin: listener.Addr().String(), log: &bytes.Buffer{}, exited: make(chan error, 1)}
	c.command = exec.Command(os.Args[0], append([]string{
		"--admin-address=" + c.admin, "--work-dir=" + b.workDir, "--slots=2", "--log-level=debug",
		"--drain-timeout=10m", "--conversion-timeout=10m", // the machine may be busy
	}, arguments...)...)
	c.command.Env = slices.Concat(os.Environ(), b.BrokerEnv(), b.StoreEnv(), []string{asConverter + "=yes"})
	c.command.Stdout, c.command.Stderr = c.log, c.log
	require.NoError(b.t, c.command.Start())
	go func() { c.exited <- c.command.Wait() }()
	b.t.Cleanup(func() {
		_ = c.command.Process.Kill()
		c.wait()
		if b.t.Failed() {
			b.t.Log(c.log.String())
		}
	})
	return c
}

// wait returns the process's exit code, or -1 if a signal ended it.
func (c *program) wait() int {
	c.t.Helper()
	select {
	case err := <-c.exited:
		c.exited <- err // for the next call
		return c.command.ProcessState.ExitCode()
	case <-time.After(patience):
		require.FailNow(c.t, "the converter does not end")
		return 0
	}
}

func (c *program) get(path string) (int, string) {
	response, err := http.Get("http://" + c.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// submit stores a document of testdata and asks for its conversion.
func (b *bench) submit(name, format string) string {
	b.t.Helper()
	content, err := os.ReadFile(testdata + name)
	require.NoError(b.t, err)
	return b.submitContent(content, name, format)
}

func (b *bench) submitContent(content []byte, name, format string) string {
	b.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	require.NoError(b.t, b.store.Bucket(b.SourcesBucket).Put(b.t.Context(), id, bytes.NewReader(content), int64(len(content)), blob.PutOptions{}))
	sum := sha256.Sum256(content)
	require.NoError(b.t, b.own.Publish(b.t.Context(), message.Message{JobID: id, Body: &conversionv1.ConvertRequested{
		JobId: id, RequestedAt: timestamppb.Now(), Target: &conversionv1.Target{Format: "pdf"},
		Source: &conversionv1.Source{ObjectKey: id, Filename: name, Format: format, Size: int64(len(content)), Sha256: sum[:]},
	}}))
	return id
}

// ends reports whether an event ends its job.
func ends(event proto.Message) bool {
	switch event.(type) {
	case *conversionv1.ConversionSucceeded, *conversionv1.ConversionFailed:
		return true
	default:
		return false
	}
}

// bodies yields the next events of the given jobs, and fails the test if they take too long.
func (b *bench) bodies(ids ...string) iter.Seq[proto.Message] {
	return func(yield func(proto.Message) bool) {
		for timeout := time.After(patience); ; {
			select {
			case d := <-b.events:
				body, err := d.Message()
				require.NoError(b.t, err)
				if slices.Contains(ids, d.JobID) && !yield(body) {
					return
				}
			case <-timeout:
				require.FailNow(b.t, "the awaited event does not come")
			}
		}
	}
}

// end waits for the event that ends a job, of type T.
func end[T proto.Message](b *bench, id string) T {
	b.t.Helper()
	var event T
	for body := range b.bodies(id) {
		if ends(body) {
			var ok bool
			event, ok = body.(T)
			require.True(b.t, ok, "%T: %v", body, body)
			break
		}
	}
	return event
}

// children counts LibreOffice's processes that convert documents below the bench's work directory.
func (b *bench) children() int {
	b.t.Helper()
	all, err := procfs.AllProcs()
	require.NoError(b.t, err)
	n := 0
	for _, process := range all {
		if cwd, err := process.Cwd(); err == nil && strings.HasPrefix(cwd, b.workDir) && strings.Contains(cwd, "/job-") {
			n++
		}
	}
	return n
}

// submitLong is submit for 100 slides, which take LibreOffice about a second. It waits until their conversion runs.
func (b *bench) submitLong() string {
	b.t.Helper()
	id := b.submit("odftoolkit__Presentation7.odp", "odp")
	for body := range b.bodies(id) {
		if _, ok := body.(*conversionv1.ConversionProgressed); ok {
			return id
		}
		require.False(b.t, ends(body), "the job ended without progress: %v", body)
	}
	return id
}

// directories lists the directories of converters in the work directory.
func (b *bench) directories() []string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.workDir, "*", "converter-*"))
	require.NoError(b.t, err)
	return found
}

func TestConvertsAndReportsItsState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.start()
	deck, locked := b.submit("open-xml-sdk__AllSlidesConverterTC.pptx", "pptx"), b.submit("unoserver__simple.encrypted.odt", "odt")
	ends := map[string]string{}
	var result *conversionv1.Result
	for body := range b.bodies(deck, locked) {
		switch event := body.(type) {
		case *conversionv1.ConversionSucceeded:
			result, ends[event.GetJobId()] = event.GetResult(), "ok"
		case *conversionv1.ConversionFailed:
			ends[event.GetJobId()] = event.GetFailure().GetCode()
		}
		if len(ends) == 2 {
			break
		}
	}
	require.Equal(t, map[string]string{deck: "ok", locked: "password-required"}, ends)
	require.EqualValues(t, 5, result.GetPages())
	stored, err := b.store.Bucket(b.ResultsBucket).Get(t.Context(), result.GetObjectKey(), 0, -1)
	require.NoError(t, err)
	defer stored.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, stored)
	require.NoError(t, err)
	require.Equal(t, result.GetSize(), size)
	require.Equal(t, result.GetSha256(), sum.Sum(nil))

	status, ready := c.get("/readyz")
	require.Equal(t, http.StatusOK, status, ready)
	require.JSONEq(t, `{"ready":true,"checks":{"messages":"ok","commands":"ok","blobs":"ok","engine":"ok"}}`, ready)
	_, metrics := c.get("/metrics")
	require.Contains(t, metrics, `docmill_converter_attempts_total{code="ok",format="pptx"} 1`)
	require.Contains(t, metrics, `docmill_converter_attempts_total{code="password-required",format="odt"} 1`)
	require.Contains(t, metrics, `docmill_converter_attempts_in_progress 0`)
	healthcheck := exec.Command(os.Args[0], "healthcheck", "startupz", "--admin-address="+c.admin)
	healthcheck.Env = append(os.Environ(), asConverter+"=yes")
	out, err := healthcheck.CombinedOutput()
	require.NoError(t, err, string(out))

	require.NoError(t, c.command.Process.Signal(syscall.SIGTERM))
	require.Zero(t, c.wait())
	require.Empty(t, b.directories(), "nothing is left behind")
}

// TestReports: the event that ends a job describes the conversion and what is missing from the result.
func TestReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	hidden := end[*conversionv1.ConversionSucceeded](b, b.submit("aspose.slides-for-.net__HiddingSlides.pptx", "pptx"))
	report := hidden.GetReport()
	require.Regexp(t, `^LibreOffice \d+\.\d+\.\d+`, report.GetEngine())
	for name, took := range map[string]*durationpb.Duration{
		"fetch": report.GetFetch(), "load": report.GetLoad(), "export": report.GetExport(), "store": report.GetStore(),
	} {
		require.Positive(t, took.AsDuration(), name)
	}
	require.NotNil(t, report.GetQueued())
	require.Equal(t, []string{"Arial", "Calibri", "Calibri Light"}, fontNames(report))
	require.EqualValues(t, 1, report.GetHiddenSlidesLeftOut())
	require.Contains(t, warnings(hidden), "slides-hidden: 1 hidden slide was omitted.")

	sheet := end[*conversionv1.ConversionSucceeded](b, b.submit("open-xml-sdk__FilterByCF.xlsx", "xlsx"))
	require.Equal(t, "Docmill Ca", standIn(sheet.GetReport(), "Calibri"))
	require.Empty(t, standIn(sheet.GetReport(), "Cambria"), "it is named, and nothing is set in it")
	require.Equal(t, []string{"font-replaced: Calibri → Docmill Ca"}, warnings(sheet))

	macros := end[*conversionv1.ConversionSucceeded](b, b.submit("gembox.presentation.examples__SampleVba.pptm", "pptm"))
	require.True(t, macros.GetReport().GetMacrosBlocked())
	require.Contains(t, warnings(macros), "macros-blocked: The document's macros did not run.")

	links := end[*conversionv1.ConversionSucceeded](b, b.submit("synth-lfi-linked-section.fodt", "fodt"))
	require.Equal(t, []string{"file:///etc/passwd", "http://127.0.0.1:9/section.odt", "http://127.0.0.1:9/linked.png"}, links.GetReport().GetBlockedLinks())
	require.EqualValues(t, 3, links.GetReport().GetBlockedLinksTotal())
	require.Contains(t, warnings(links), "links-blocked: 3 links were not followed.")

	// No package of fonts that the tests install has Adlam.
	adlam := end[*conversionv1.ConversionSucceeded](b, b.submitContent([]byte("Adlam: \U0001E900\U0001E901\U0001E900"), "adlam.txt", "txt"))
	require.Equal(t, "\U0001E900\U0001E901", adlam.GetReport().GetMissingCharacters())
	require.Equal(t, []string{"glyphs-missing: 2 characters are in no font: \U0001E900\U0001E901"}, warnings(adlam))

	failed := end[*conversionv1.ConversionFailed](b, b.submit("unoserver__simple.encrypted.odt", "odt"))
	require.Equal(t, "password-required", failed.GetFailure().GetCode())
	require.NotNil(t, failed.GetReport().GetFetch())
	require.Nil(t, failed.GetReport().GetStore(), "it did not come to that")
}

func fontNames(report *conversionv1.Report) []string {
	var names []string
	for _, font := range report.GetFonts() {
		names = append(names, font.GetName())
	}
	return names
}

// standIn is what stood in for a font.
func standIn(report *conversionv1.Report, name string) string {
	for _, font := range report.GetFonts() {
		if font.GetName() == name && !font.GetFound() {
			return font.GetReplacedBy()
		}
	}
	return "it was there, or not named"
}

func warnings(event *conversionv1.ConversionSucceeded) []string {
	var all []string
	for _, warning := range event.GetWarnings() {
		all = append(all, warning.GetCode()+": "+warning.GetDetail())
	}
	return all
}

// TestProgressOfALongDocument: progress is reported in both halves of the work.
func TestProgressOfALongDocument(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	id := b.submit("odftoolkit__Presentation7.odp", "odp") // 100 slides
	var reports []*conversionv1.ConversionProgressed
	for body := range b.bodies(id) {
		if event, ok := body.(*conversionv1.ConversionProgressed); ok {
			reports = append(reports, event)
		}
		if _, ok := body.(*conversionv1.ConversionSucceeded); ok {
			break
		}
	}
	require.Greater(t, len(reports), 3)
	moved := 0
	for i, event := range reports[1:] {
		require.GreaterOrEqual(t, event.GetPercent(), reports[i].GetPercent())
		require.GreaterOrEqual(t, event.GetPhase(), reports[i].GetPhase())
		require.False(t, event.GetProgressedAt().AsTime().Before(reports[i].GetProgressedAt().AsTime()))
		if p := event.GetPercent(); p > 10 && p < 90 {
			moved++
		}
	}
	require.Greater(t, moved, 1, "%v", reports)
}

func TestKilledConverterLosesNoJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.start()
	id := b.submitLong()
	require.NoError(t, first.command.Process.Kill())
	first.wait()
	require.Eventually(t, func() bool { return b.children() == 0 }, patience, 5*time.Millisecond, "its children die with it")
	left := b.directories()
	require.Len(t, left, 1)

	b.start()
	succeeded := end[*conversionv1.ConversionSucceeded](b, id)
	require.EqualValues(t, 2, succeeded.GetAttempt())
	require.EqualValues(t, 100, succeeded.GetResult().GetPages())
	require.NotContains(t, b.directories(), left[0], "the successor tidies up")
}

func TestDrainFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.start()
	id := b.submitLong()
	require.NoError(t, c.command.Process.Signal(syscall.SIGTERM))
	require.EqualValues(t, 1, end[*conversionv1.ConversionSucceeded](b, id).GetAttempt())
	require.Zero(t, c.wait())
	require.Empty(t, b.directories())
}

func TestDrainDeadlineLeavesTheJobToOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.start("--drain-timeout=0s")
	id := b.submitLong()
	require.NoError(t, c.command.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, c.wait())
	require.Zero(t, b.children())

	b.start()
	succeeded := end[*conversionv1.ConversionSucceeded](b, id)
	require.EqualValues(t, 100, succeeded.GetResult().GetPages())
	require.EqualValues(t, 1, succeeded.GetAttempt(), "neither a delivery nor an attempt was counted")
}

func TestStartFailsWithoutLibreOffice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.start("--soffice=/nonexistent/soffice")
	require.Equal(t, 1, c.wait())
	require.Contains(t, c.log.String(), "LibreOffice is missing: install libreoffice-writer")
	require.Empty(t, b.directories())
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, setting := range []string{"--slots=-1", "--conversion-timeout=1ms", "--conversion-memory=1KiB", "--conversion-disk=1B", "--conversion-pages=-1", "--transfer-timeout=1h"} {
		c := b.start(setting)
		require.Equal(t, 2, c.wait())
		require.Contains(t, c.log.String(), strings.TrimPrefix(strings.Split(setting, "=")[0], "--"))
	}
}
