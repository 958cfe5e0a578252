package observability_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
	"github.com/docmill/docmill/devstack/system"
)

// prometheus is a running Prometheus.
type prometheus struct{ url string }

// TestPrometheus runs Prometheus on both editions with the rules of deploy/observability. All targets must be up, all rules must be
// evaluated without an error, no alert may fire, and every query of a dashboard must return data.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	three, single := start(t, false), start(t, true)
	p := startPrometheus(t, map[string]*system.Service{
		"docmill-gateway": three.Gateway, "docmill-converter": three.Converter, "docmill-status": three.Status, "docmill": single.Gateway,
	})
	for _, docmill := range []*installation{three, single} {
		docmill.use(t)
	}
	require.Eventually(t, func() bool { return p.up(t) == 4 }, time.Minute, time.Second, "targets are down")
	three.use(t) // so that rates are above 0
	single.use(t)
	p.requireData(t, dashboardExpressions(t))
	p.requireRules(t)
}

// startPrometheus starts Prometheus with the given targets by job.
func startPrometheus(t *testing.T, jobs map[string]*system.Service) prometheus {
	t.Helper()
	tools, err := install.Ensure(t.Context(), zap.NewNop(), install.Prometheus)
	require.NoError(t, err)
	rules, err := filepath.Abs(filepath.Join(deployed, "rules"))
	require.NoError(t, err)
	directory := t.TempDir()
	var scrapes []any
	for job, service := range jobs {
		scrapes = append(scrapes, map[string]any{"job_name": job, "static_configs": []any{
			map[string]any{"targets": []string{strings.TrimPrefix(service.AdminURL, "http://")}},
		}})
	}
	text, err := yaml.Marshal(map[string]any{
		"global":     map[string]string{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{rules + "/*.yml"}, "scrape_configs": scrapes,
	})
	require.NoError(t, err)
	config := filepath.Join(directory, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, text, 0o600))
	ports, err := port.Free(1)
	require.NoError(t, err)
	address := port.Address(ports[0])
	server, err := process.Start(process.Spec{
		Name: "prometheus", Path: tools.Prometheus, LogFile: filepath.Join(directory, "prometheus.log"), Grace: time.Minute,
		Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(directory, "data"), "--web.listen-address=" + address},
	})
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	p := prometheus{"http://" + address}
	require.Eventually(t, func() bool {
		response, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 100*time.Millisecond)
	return p
}

// get decodes the data of an answer of the API.
func (p prometheus) get(t *testing.T, path string, into any) {
	t.Helper()
	response, err := http.Get(p.url + path)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	require.NoError(t, json.Unmarshal(body, &struct {
		Data any `json:"data"`
	}{into}))
}

// requireData waits until each query has returned data.
func (p prometheus) requireData(t *testing.T, queries []string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); len(queries) > 0 && time.Now().Before(deadline); time.Sleep(time.Second) {
		queries = slices.DeleteFunc(queries, func(q string) bool { return p.query(t, q) > 0 })
	}
	require.Empty(t, queries, "queries return no data")
}

// up returns how many targets are up.
func (p prometheus) up(t *testing.T) int {
	t.Helper()
	return p.query(t, "up == 1")
}

// query returns the number of series of a query.
func (p prometheus) query(t *testing.T, expression string) int {
	t.Helper()
	var data struct{ Result []json.RawMessage }
	p.get(t, "/api/v1/query?"+url.Values{"query": {expression}}.Encode(), &data)
	return len(data.Result)
}

func (p prometheus) requireRules(t *testing.T) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, State, LastError string }
		}
	}
	require.Eventually(t, func() bool {
		p.get(t, "/api/v1/rules", &data)
		for _, group := range data.Groups {
			for _, rule := range group.Rules {
				if rule.Health == "unknown" { // not evaluated yet
					return false
				}
			}
		}
		return true
	}, time.Minute, time.Second)
	count := 0
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			count++
			require.Equal(t, "ok", rule.Health, "%s: %s", rule.Name, rule.LastError)
			require.NotEqual(t, "firing", rule.State, rule.Name)
		}
	}
	require.Len(t, allRules(t), count)
}
