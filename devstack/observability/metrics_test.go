package observability_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/system"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md and the dashboards")

// metric is a metric that a process exposes.
type metric struct {
	kind, help string
	labels     map[string]bool
	// services are those that expose it.
	services map[string]bool
}

// TestMetricsPageIsCurrent uses both editions, and requires that docs/metrics.md lists exactly the metrics that they expose. So a
// metric must have a value from the start, or at least after each kind of job.
func TestMetricsPageIsCurrent(t *testing.T) {
	t.Parallel()
	found := map[string]*metric{}
	for _, embedded := range []bool{false, true} {
		docmill := start(t, embedded)
		docmill.use(t)
		status := string(scrape(t, docmill.Status))
		for _, count := range []string{
			`docmill_status_jobs_ended_total{code="ok",outcome="succeeded"`, `docmill_status_jobs_ended_total{code="document-empty",outcome="rejected"`,
			`docmill_status_time_to_result_seconds_count{outcome="succeeded"`, `docmill_status_time_to_result_seconds_count{outcome="rejected"`,
		} {
			require.Regexp(t, regexp.QuoteMeta(count)+`[^}]*} 1\n`, status)
		}
		for _, service := range docmill.Services() {
			name := service.Name()
			require.Eventually(t, func() bool { return strings.Contains(string(scrape(t, service)), "docmill_build_info") }, time.Minute, time.Second)
			exposed := scrape(t, service)
			requireLinted(t, name, exposed)
			collect(t, found, name, exposed)
		}
		require.NoError(t, docmill.Stop(docmill.ctx))
	}
	requireCurrent(t, filepath.Join(project, "docs", "metrics.md"), page(found))
}

// use submits documents of which one succeeds, one fails and one is rejected.
func (i *installation) use(t *testing.T) {
	t.Helper()
	good, err := i.client.SubmitFile(i.ctx, document("synth-letter.docx"))
	require.NoError(t, err)
	bad, err := i.client.SubmitFile(i.ctx, document("synth-all-hidden.pptx"))
	require.NoError(t, err)
	_, err = i.client.Submit(i.ctx, "noise.bin", strings.NewReader("\x00\x01\x02\x03"), 4)
	require.Error(t, err)
	good, err = i.client.Wait(i.ctx, good)
	require.NoError(t, err)
	require.NoError(t, i.client.Download(i.ctx, good, io.Discard))
	_, err = i.client.Wait(i.ctx, bad)
	var failure *client.JobError
	require.ErrorAs(t, err, &failure)
	// The status service measures the age of the oldest waiting job and the dead letters some seconds after its start.
	require.Eventually(t, func() bool {
		exposed := string(scrape(t, i.Status))
		return strings.Contains(exposed, "docmill_status_oldest_waiting_job_age_seconds") && strings.Contains(exposed, "docmill_status_dead_letters")
	}, time.Minute, 100*time.Millisecond)
}

func scrape(t *testing.T, service *system.Service) []byte {
	t.Helper()
	response, err := http.Get(service.AdminURL + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	return body
}

// requireLinted requires the conventions of Prometheus for names, units and help texts.
func requireLinted(t *testing.T, service string, exposed []byte) {
	t.Helper()
	problems, err := promlint.New(bytes.NewReader(exposed)).Lint()
	require.NoError(t, err)
	for _, problem := range problems {
		require.False(t, strings.HasPrefix(problem.Metric, "docmill_"), "%s: %s: %s", service, problem.Metric, problem.Text)
	}
}

// maxSeries is the most series that a metric of a process may have in this test. Labels must not have values that clients choose.
const maxSeries = 80

func collect(t *testing.T, into map[string]*metric, service string, exposed []byte) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(exposed))
	require.NoError(t, err)
	for name, family := range families {
		if !strings.HasPrefix(name, "docmill_") {
			continue
		}
		require.LessOrEqual(t, len(family.GetMetric()), maxSeries, name)
		m := into[name]
		if m == nil {
			m = &metric{labels: map[string]bool{}, services: map[string]bool{}}
			into[name] = m
		}
		m.kind, m.help = kindOf(family), family.GetHelp()
		m.services[service] = true
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() != "service" { // all metrics of docmill serve have it
					m.labels[label.GetName()] = true
				}
			}
		}
	}
}

func kindOf(family *dto.MetricFamily) string { return strings.ToLower(family.GetType().String()) }

// page returns docs/metrics.md.
func page(found map[string]*metric) string {
	var text strings.Builder
	text.WriteString(`# Metrics

Generated from what the services expose by ` + "`go test -run=TestMetricsPageIsCurrent ./devstack/observability -update`" + `.

Each process serves these metrics at ` + "`/metrics`" + ` of its admin port, in the format of Prometheus, together with those of the Go
runtime (` + "`go_…`" + `) and of the process (` + "`process_…`" + `). Durations are in seconds and sizes in bytes. In ` + "`docmill serve`" + `, the metrics of
a service have the label ` + "`service`" + ` as well. No label has a value that clients choose, so the number of series is limited.
[Alerts](runbook.md) and dashboards (` + "`deploy/observability`" + `) are made from them.

| metric | type | labels | exposed by | |
|---|---|---|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		m := found[name]
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s | %s |\n", name, m.kind, listed(m.labels, "`"), listed(m.services, ""), m.help)
	}
	return text.String()
}

func listed(names map[string]bool, quote string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, quote+name+quote)
	}
	return strings.Join(all, ", ")
}

// requireCurrent requires that a generated file has this content. With the flag -update it writes the file first.
func requireCurrent(t *testing.T, path, content string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	current, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, string(current), "run the test with -update")
}
