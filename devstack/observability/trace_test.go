package observability_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// The trace context of a client, which does not want its requests to be traced.
const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "00-" + clientTrace + "-b7ad6b7169203331-00"
)

// traced are the settings of a service that sends its spans soon.
func traced(to *receiver, more ...string) []string {
	return append([]string{"DOCMILL_TRACE_ENDPOINT=" + to.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "DOCMILL_LOG_LEVEL=debug"}, more...)
}

// submit submits a document as a client with a trace context.
func (i *installation) submit(t *testing.T, name, traceparent string) client.Job {
	t.Helper()
	content, err := os.ReadFile(document(name))
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(i.ctx, http.MethodPost, i.URL()+"/v1/jobs", bytes.NewReader(content))
	require.NoError(t, err)
	request.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	request.Header.Set("Traceparent", traceparent)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, response.StatusCode, string(body))
	var job client.Job
	require.NoError(t, json.Unmarshal(body, &job))
	return job
}

// TestOneTracePerJob follows a job through all services, the store and the databases.
func TestOneTracePerJob(t *testing.T) {
	t.Parallel()
	for edition, expected := range map[string][]string{"services": pathsOfServices, "embedded": pathsOfEmbedded} {
		t.Run(edition, func(t *testing.T) {
			t.Parallel()
			received := newReceiver(t)
			docmill := start(t, edition == "embedded", traced(received)...)
			job := docmill.submit(t, "synth-letter.docx", traceparent)
			_, err := docmill.client.Wait(docmill.ctx, job)
			require.NoError(t, err)

			complete := func() bool { return len(missing(expected, paths(received.trace(clientTrace)))) == 0 }
			if !waitFor(t, complete) {
				require.Fail(t, "spans are missing", "missing:\n%s\nreceived:\n%s",
					strings.Join(missing(expected, paths(received.trace(clientTrace))), "\n"),
					strings.Join(paths(received.trace(clientTrace)), "\n"))
			}
			spans := received.trace(clientTrace)
			for _, path := range paths(spans) {
				require.True(t, strings.HasPrefix(path, expected[0]), "%s does not lead to the request", path)
			}
			for _, s := range spans {
				if strings.HasPrefix(s.GetName(), "process ") || strings.HasPrefix(s.GetName(), "POST ") {
					if s.attributes["messaging.batch.message_count"] == "" {
						require.Equal(t, job.ID, s.attributes["docmill.job_id"], s.GetName())
					}
				}
			}
			requirePollsHaveTheirOwnTraces(t, received, job.ID)
			requireLogs(t, docmill.logs, job.ID)
		})
	}
}

// The paths that each trace must have. The request is the root: the client's span is not a parent, and its wish is ignored.
var (
	pathsOfServices = tree("docmill-gateway", "docmill-converter", "docmill-status", []string{
		" > {gateway} put sources > {gateway} HTTP PUT",
		" > {gateway} HTTP GET > {status} GET /internal/jobs/:id/recorded > {status} GetJob",
		" > {gateway} send ConvertRequested > {converter} process ConvertRequested > {converter} fetch > {converter} get sources > {converter} HTTP GET",
		" > {gateway} send ConvertRequested > {converter} process ConvertRequested > {converter} store > {converter} put results > {converter} HTTP PUT",
		" > {gateway} send ConvertRequested > {status} process events > {status} LockJobs",
	})
	pathsOfEmbedded = tree("docmill", "docmill", "docmill", []string{
		" > {gateway} put sources",
		" > {gateway} HTTP GET > {status} GET /internal/jobs/:id/recorded > {status} GetJob",
		" > {gateway} send ConvertRequested > {gateway} write",
		" > {gateway} send ConvertRequested > {converter} process ConvertRequested > {converter} fetch > {converter} get sources",
		" > {gateway} send ConvertRequested > {converter} process ConvertRequested > {converter} store > {converter} put results",
		" > {gateway} send ConvertRequested > {status} process events > {status} write",
	})
)

// tree returns the paths of an edition: those of both editions and its own.
func tree(gateway, converter, status string, own []string) []string {
	names := strings.NewReplacer("{gateway}", gateway, "{converter}", converter, "{status}", status)
	const conversion = " > {gateway} send ConvertRequested > {converter} process ConvertRequested"
	var all []string
	for _, path := range append([]string{
		"",
		" > {gateway} send ConvertRequested > {status} process ConvertRequested",
		conversion + " > {converter} wait",
		conversion + " > {converter} preflight",
		conversion + " > {converter} libreoffice > {converter} load",
		conversion + " > {converter} libreoffice > {converter} export",
		conversion + " > {converter} finish",
		conversion + " > {converter} send ConversionStarted > {status} process ConversionStarted",
		conversion + " > {converter} send ConversionSucceeded > {status} process ConversionSucceeded",
	}, own...) {
		all = append(all, names.Replace("{gateway} POST /v1/jobs"+path))
	}
	return all
}

func missing(want, got []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(path string) bool { return slices.Contains(got, path) })
}

func waitFor(t *testing.T, done func() bool) bool {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}

// requirePollsHaveTheirOwnTraces: a job may be polled any number of times, by clients with traces of their own. The attribute
// with the id of the job leads from one to the other.
func requirePollsHaveTheirOwnTraces(t *testing.T, received *receiver, job string) {
	t.Helper()
	require.True(t, waitFor(t, func() bool { return len(received.find(job, "GET /v1/jobs/:id")) > 0 }), "no poll was traced")
	for _, poll := range received.find(job, "GET /v1/jobs/:id") {
		require.NotEqual(t, clientTrace, hex.EncodeToString(poll.GetTraceId()))
	}
}

// requireLogs requires that each line about the job names its trace, and that each service has written one.
func requireLogs(t *testing.T, directory, job string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		lines := 0
		file, err := os.Open(name)
		require.NoError(t, err)
		defer file.Close()
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			var line struct {
				Job   string `json:"job_id"`
				Trace string `json:"trace_id"`
			}
			if json.Unmarshal(scanner.Bytes(), &line) != nil || !strings.Contains(scanner.Text(), job) {
				continue
			}
			require.Equal(t, job, line.Job, scanner.Text())
			require.NotEmpty(t, line.Trace, scanner.Text())
			if line.Trace == clientTrace {
				lines++
			}
		}
		require.Positive(t, lines, "%s has no line about the job in its trace", name)
	}
}

// TestClientsDoNotDecideWhatIsTraced sends a trace context with the sampled flag to a service that traces nothing, and then to
// one that trusts its clients.
func TestClientsDoNotDecideWhatIsTraced(t *testing.T) {
	t.Parallel()
	for trusted, setting := range map[bool]string{false: "DOCMILL_TRUST_TRACEPARENT=false", true: "DOCMILL_TRUST_TRACEPARENT=true"} {
		received := newReceiver(t)
		docmill := start(t, true, traced(received, "DOCMILL_TRACE_RATIO=0", setting)...)
		job := docmill.submit(t, "synth-letter.txt", strings.TrimSuffix(traceparent, "0")+"1")
		_, err := docmill.client.Wait(docmill.ctx, job)
		require.NoError(t, err)
		if trusted {
			require.True(t, waitFor(t, func() bool { return len(received.find(job.ID, "process ConversionSucceeded")) > 0 }))
			continue
		}
		require.NoError(t, docmill.Stop(docmill.ctx)) // sends what there is
		received.mu.Lock()
		require.Empty(t, received.spans)
		received.mu.Unlock()
	}
}
