package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/message/messagetest"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/rabbitmq"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// asGateway makes the test's own program run as the gateway: what is tested is a process, with signals and a heap of
// its own.
const asGateway = "RUN_AS_GATEWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) != "" {
		main()
		return
	}
	testbench.Main(m)
}

const patience = 30 * time.Second

// process is a gateway that runs.
type process struct {
	*exec.Cmd
	api, admin string // URLs
	exited     chan error

	mutex sync.Mutex
	log   strings.Builder
}

// start runs a gateway with these settings and waits until it listens.
func start(t *testing.T, settings ...string) *process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	p := &process{Cmd: exec.Command(program, "--address=127.0.0.1:0", "--admin-address=127.0.0.1:0"), exited: make(chan error, 1)}
	p.Env = append([]string{asGateway + "=1", "DOCMILL_STATUS_URL=http://127.0.0.1:1", "DOCMILL_DRAIN_DELAY=0s"}, settings...)
	output, err := p.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	addresses := make(chan [2]string, 2)
	go p.follow(output, addresses)
	t.Cleanup(func() {
		_ = p.Process.Kill()
		if t.Failed() {
			t.Log(p.logged())
		}
	})
	for range 2 {
		select {
		case found := <-addresses:
			if found[0] == "http" {
				p.api = "http://" + found[1]
			} else {
				p.admin = "http://" + found[1]
			}
		case err := <-p.exited:
			t.Fatalf("the gateway ended: %v\n%s", err, p.logged())
		case <-time.After(patience):
			t.Fatalf("the gateway does not listen\n%s", p.logged())
		}
	}
	return p
}

// follow reads the log to its end, and finds in it where the gateway listens.
func (p *process) follow(output io.Reader, addresses chan<- [2]string) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		p.mutex.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mutex.Unlock()
		var entry struct {
			Msg       string `json:"msg"`
			Component string `json:"component"`
			Address   string `json:"address"`
		}
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
			addresses <- [2]string{entry.Component, entry.Address}
		}
	}
	p.exited <- p.Wait()
}

func (p *process) logged() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.log.String()
}

// ask asks an endpoint of the admin port.
func (p *process) ask(t *testing.T, endpoint string) (int, string) {
	t.Helper()
	response, err := http.Get(p.admin + "/" + endpoint)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// waitUntilReady waits until the gateway and its dependencies work.
func (p *process) waitUntilReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _ := p.ask(t, "startupz")
		return status == http.StatusOK
	}, patience, 20*time.Millisecond)
}

func (p *process) healthcheck(t *testing.T, endpoint ...string) ([]byte, error) {
	t.Helper()
	arguments := append(append([]string{"healthcheck"}, endpoint...), "--admin-address="+strings.TrimPrefix(p.admin, "http://"))
	check := exec.Command(p.Path, arguments...)
	check.Env = []string{asGateway + "=1"}
	return check.CombinedOutput()
}

func environment(b *testbench.Bench) []string { return append(b.BrokerEnv(), b.StoreEnv()...) }

func send(t *testing.T, url string, content io.Reader, length int64) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/jobs", content)
	require.NoError(t, err)
	r.ContentLength = length
	r.Header.Set("Content-Disposition", "attachment; filename=letter.txt")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, body
}

func TestStartsWithEverythingDownAndRecovers(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	queue, store := testbench.Proxy(t, bench.BrokerURL), testbench.Proxy(t, bench.StoreEndpoint)
	queue.Cut()
	store.Cut()
	settings := append(environment(bench), "DOCMILL_PUBLISH_TIMEOUT=5s",
		"DOCMILL_STORE_SOURCES_BUCKET="+bench.SourcesBucket+"-new", "DOCMILL_STORE_RESULTS_BUCKET="+bench.ResultsBucket+"-new",
		"DOCMILL_BROKER_URL="+queue.Through(bench.BrokerURL), "DOCMILL_STORE_ENDPOINT="+store.Through(bench.StoreEndpoint))
	t.Cleanup(func() {
		for _, bucket := range []string{bench.SourcesBucket + "-new", bench.ResultsBucket + "-new"} {
			require.NoError(t, bench.Servers.MinIO.RemoveBucket(context.Background(), bucket))
		}
	})
	p := start(t, settings...)

	require.Eventually(t, func() bool {
		status, _ := p.ask(t, "readyz")
		return status == http.StatusOK
	}, patience, 20*time.Millisecond, "it answers its callers without its dependencies")
	_, found := p.ask(t, "readyz?verbose")
	require.NotContains(t, found, `"ok"`)
	_, values := p.ask(t, "metrics")
	require.Contains(t, values, `docmill_dependency_up{dependency="blobs"} 0`)
	output, err := p.healthcheck(t)
	require.NoError(t, err, string(output))
	output, err = p.healthcheck(t, "startupz")
	require.Error(t, err)
	require.Contains(t, string(output), "503")
	response, body2 := send(t, p.api, strings.NewReader("text"), 4)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Contains(t, string(body2), problem.QueueUnavailable, "which is checked before the document is read")

	queue.Restore()
	store.Restore()
	p.waitUntilReady(t)
	output, err = p.healthcheck(t, "startupz")
	require.NoError(t, err, string(output))
	_, values = p.ask(t, "metrics")
	require.Contains(t, values, `docmill_dependency_up{dependency="blobs"} 1`)
	response, body2 = send(t, p.api, strings.NewReader("text"), 4)
	require.Equal(t, http.StatusAccepted, response.StatusCode, string(body2))
}

func TestDrainLetsUploadsEnd(t *testing.T) {
	t.Parallel()
	p := start(t, environment(testbench.New(t))...)
	p.waitUntilReady(t)
	connection, err := net.Dial("tcp", strings.TrimPrefix(p.api, "http://"))
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "POST /v1/jobs HTTP/1.1\r\nHost: g\r\nContent-Disposition: attachment; filename=a.txt\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(connection)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")

	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { // it accepts no other connections
		another, err := net.Dial("tcp", strings.TrimPrefix(p.api, "http://"))
		if err == nil {
			another.Close()
		}
		return err != nil
	}, patience, 10*time.Millisecond)
	_, err = io.WriteString(connection, "text")
	require.NoError(t, err)
	_, err = reader.ReadString('\n') // the end of "100 Continue"
	require.NoError(t, err)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	require.NoError(t, <-p.exited, "a clean stop")
}

// TestStopRefusesNoConnection stops a gateway under load from a balancer, which sends requests on old and new connections
// until it finds that the gateway is not ready.
func TestStopRefusesNoConnection(t *testing.T) {
	t.Parallel()
	p := start(t, append(environment(testbench.New(t)), "DOCMILL_DRAIN_DELAY=5s")...)
	p.waitUntilReady(t)
	unready := make(chan struct{})
	go func() { // the balancer's check
		defer close(unready)
		for ; ; time.Sleep(100 * time.Millisecond) {
			response, err := http.Get(p.admin + "/readyz")
			if err != nil {
				return
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return
			}
		}
	}()
	var clients sync.WaitGroup
	var mutex sync.Mutex
	answers, failures := map[bool]int{}, []error(nil) // answers by whether they end a connection that could be reused
	stopping := make(chan struct{})
	stop := sync.OnceFunc(func() { close(stopping) })
	for _, reuse := range []bool{true, true, false, false} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !reuse}}
		clients.Go(func() {
			for {
				select {
				case <-unready:
					return
				default:
				}
				closes, err := ask(client, p.api+"/v1/formats")
				mutex.Lock()
				if answers[reuse && closes]++; answers[false] == 200 {
					stop()
				}
				if err != nil {
					failures = append(failures, err)
				}
				mutex.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	<-stopping
	signaled := time.Now()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	clients.Wait()
	require.Empty(t, failures)
	require.Positive(t, answers[true], "connections end with their next answer")
	require.NoError(t, <-p.exited, "a clean stop")
	require.GreaterOrEqual(t, time.Since(signaled), 5*time.Second)
}

// ask sends a request and reports whether the server closes its connection.
func ask(client *http.Client, url string) (closes bool, err error) {
	response, err := client.Get(url)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.Close, err
}

// TestDrainEndsLongPolls drains while one client waits for a job to change and another for the end of the job that it
// submits. The stand-in for the status service holds every answer for as long as requested.
func TestDrainEndsLongPolls(t *testing.T) {
	t.Parallel()
	held := make(chan struct{}, 2)
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Prefer") != "" {
			held <- struct{}{}
			<-r.Context().Done()
			return
		}
		w.Header().Set("ETag", `"1"`)
		_ = json.NewEncoder(w).Encode(jobapi.Job{ID: "it", Status: jobapi.Running})
	}))
	t.Cleanup(status.Close)
	p := start(t, append(environment(testbench.New(t)), "DOCMILL_STATUS_URL="+status.URL)...)
	p.waitUntilReady(t)

	poll, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.api+"/v1/jobs/01981c7e-0000-7000-8000-000000000000", http.NoBody)
	require.NoError(t, err)
	submission, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.api+"/v1/jobs", strings.NewReader("text"))
	require.NoError(t, err)
	submission.Header.Set("Content-Disposition", "attachment; filename=a.txt")
	answers := make(chan string, 2)
	for _, r := range []*http.Request{poll, submission} {
		r.Header.Set("Prefer", "wait=60")
		go func() {
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			answers <- response.Status + " " + strings.TrimSpace(string(body))
		}()
	}
	<-held
	<-held
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	got := []string{<-answers, <-answers}
	slices.Sort(got)
	require.Contains(t, got[0], "200 OK")
	require.Contains(t, got[1], "202 Accepted")
	for _, answer := range got {
		require.Contains(t, answer, `"status":"running"`)
	}
	require.NoError(t, <-p.exited, "a clean stop")
}

// TestHeapOfALargeUpload uploads 1 GiB of unknown size, as a form's is, and 256 MiB of known size, and samples the
// process's heap meanwhile.
func TestHeapOfALargeUpload(t *testing.T) {
	t.Parallel()
	const bound = 64 << 20
	p := start(t, append(environment(testbench.New(t)), "DOCMILL_MAX_UPLOAD_SIZE=2GiB")...)
	p.waitUntilReady(t)
	for known, size := range map[bool]int64{false: 1 << 30, true: 256 << 20} {
		document, length := largeDocument(t, size), int64(-1)
		if known {
			length = measure(t, largeDocument(t, size))
		}
		done, peak := make(chan struct{}), make(chan float64, 1)
		go func() { peak <- p.peakHeap(t, done) }()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.api+"/v1/jobs", document)
		require.NoError(t, err)
		r.ContentLength = length
		r.Header.Set("Content-Disposition", "attachment; filename=large.docx")
		began := time.Now()
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		response.Body.Close()
		close(done)
		require.Equal(t, http.StatusAccepted, response.StatusCode, string(body))
		var accepted jobapi.Job
		require.NoError(t, json.Unmarshal(body, &accepted))
		require.Greater(t, accepted.Source.Size, size)
		require.Contains(t, accepted.Source.ContentType, "wordprocessingml.document")
		highest := <-peak
		t.Logf("size known: %v; %d bytes in %s; peak heap %.1f MiB", known, accepted.Source.Size, time.Since(began).Round(time.Millisecond), highest/(1<<20))
		require.Less(t, highest, float64(bound))
	}
}

// peakHeap returns the largest heap in use, garbage included, that the process reports until done.
func (p *process) peakHeap(t *testing.T, done <-chan struct{}) float64 {
	highest := 0.0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return highest
		case <-tick.C:
		}
		response, err := http.Get(p.admin + "/metrics")
		if err != nil {
			t.Error(err)
			return highest
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(response.Body)
		response.Body.Close()
		if err != nil {
			t.Error(err)
			return highest
		}
		highest = max(highest, families["go_memstats_heap_inuse_bytes"].GetMetric()[0].GetGauge().GetValue())
	}
}

// largeDocument streams a Word document with an image of size bytes.
func largeDocument(t *testing.T, size int64) io.Reader {
	t.Helper()
	reader, writer := io.Pipe()
	go func() {
		archive := zip.NewWriter(writer)
		for name, content := range map[string]string{
			"[Content_Types].xml": `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
				`<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`,
			"_rels/.rels": `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" ` +
				`Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`,
			"word/document.xml": `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body/></w:document>`,
		} {
			part, err := archive.Create(name)
			if err == nil {
				_, err = io.WriteString(part, content)
			}
			if err != nil {
				writer.CloseWithError(err)
				return
			}
		}
		part, err := archive.CreateHeader(&zip.FileHeader{Name: "word/media/image1.bmp", Method: zip.Store})
		if err == nil {
			block := bytes.Repeat([]byte("picture "), 8<<10)
			for left := size; left > 0 && err == nil; left -= int64(len(block)) {
				_, err = part.Write(block)
			}
		}
		if err == nil {
			err = archive.Close()
		}
		writer.CloseWithError(err)
	}()
	return reader
}

func measure(t *testing.T, content io.Reader) int64 {
	t.Helper()
	n, err := io.Copy(io.Discard, content)
	require.NoError(t, err)
	return n
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	for flag, want := range map[string]string{
		"--max-uploads=0":                            "max-uploads",
		"--max-open-uploads=1":                       "max-open-uploads",
		"--min-upload-rate=fast":                     "min-upload-rate",
		"--max-upload-size=0":                        "max-upload-size",
		"--upload-idle-timeout=0s":                   "upload-idle-timeout",
		"--status-url=nowhere":                       "status-url",
		"--broker-url=amqp://user:secret@127.0.0.1/": "broker-url",
		"--store-endpoint=nowhere":                   "store-endpoint",
		"--unknown":                                  "unknown",
	} {
		bad := exec.Command(program, flag)
		bad.Env = []string{asGateway + "=1"}
		output, err := bad.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, flag)
		require.Equal(t, 2, exit.ExitCode(), flag+": "+strconv.Itoa(exit.ExitCode()))
		require.Contains(t, string(output), want)
		require.NotContains(t, string(output), "secret")
	}
}

// TestOffersWhatConvertersSupport: an announcement takes effect in the list of formats and at the next submission.
func TestOffersWhatConvertersSupport(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	p := start(t, environment(bench)...)
	p.waitUntilReady(t)
	messages, err := rabbitmq.New(rabbitmq.Config{
		URL: bench.BrokerURL, Username: bench.BrokerUsername, Password: config.NewSecret(bench.BrokerPassword),
	}, "test", zap.NewNop(), nil)
	require.NoError(t, err)
	publisher := messagetest.Publisher(t, messages)
	announcement := message.Message{Body: &conversionv1.ConverterAnnounced{
		ConverterId: "it", SourceFormats: []string{"pptx"}, ValidFor: durationpb.New(time.Hour),
	}}
	require.Eventually(t, func() bool { return publisher.Publish(t.Context(), announcement) == nil }, patience, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		response, err := http.Get(p.api + "/v1/formats")
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return strings.Contains(string(body), `{"format":"pptx",`) && !strings.Contains(string(body), `{"format":"txt","title":"Plain text","media_type":"text/plain","family"`)
	}, patience, 20*time.Millisecond)
	response, body := send(t, p.api, strings.NewReader("text"), 4)
	require.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode)
	require.Contains(t, string(body), "format-unsupported")
}
