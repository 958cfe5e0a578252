package observability_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/observability"
)

// deployed is the directory of everything that is made from the metrics.
const deployed = project + "/deploy/observability"

func TestObjectivesAreCurrent(t *testing.T) {
	t.Parallel()
	requireCurrent(t, filepath.Join(deployed, "rules", "slo.yml"), observability.Objectives())
}

func TestDashboardsAreCurrent(t *testing.T) {
	t.Parallel()
	files, err := observability.Dashboards()
	require.NoError(t, err)
	for name, content := range files {
		requireCurrent(t, filepath.Join(deployed, "grafana", "dashboards", name), content)
	}
	found, err := filepath.Glob(filepath.Join(deployed, "grafana", "dashboards", "*"))
	require.NoError(t, err)
	require.Len(t, found, len(files))
}

// TestRules checks the configuration and the rules, and runs the tests of the rules, with promtool.
func TestRules(t *testing.T) {
	t.Parallel()
	rules, tests := glob(t, "rules", "*.yml"), glob(t, "rules", "tests", "*.yml")
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, rules...)...)
	promtool(t, append([]string{"test", "rules"}, tests...)...)
	promtool(t, "check", "config", "--syntax-only", filepath.Join(deployed, "prometheus.yml"))
}

// TestExpressionsOfDashboards checks all expressions with the parser of Prometheus, as rules.
func TestExpressionsOfDashboards(t *testing.T) {
	t.Parallel()
	var rules []map[string]string
	for i, expression := range dashboardExpressions(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%d", i), "expr": expression})
	}
	require.NotEmpty(t, rules)
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "panels.yml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	promtool(t, "check", "rules", "--lint=none", path)
}

// dashboardExpressions returns the expressions of all panels as Grafana sends them.
func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	var expressions []string
	for _, path := range glob(t, "grafana", "dashboards", "*.json") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var dashboard struct {
			Panels []struct {
				Targets []struct {
					Expr string `json:"expr"`
				} `json:"targets"`
			} `json:"panels"`
		}
		require.NoError(t, json.Unmarshal(text, &dashboard))
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				expressions = append(expressions, strings.NewReplacer("$namespace", ".*", "$__rate_interval", "1m").Replace(target.Expr))
			}
		}
	}
	return expressions
}

// TestEveryMetricExists requires that rules and dashboards use only metrics of docs/metrics.md, labels that these have, and
// recorded metrics; and that dashboards show every metric.
func TestEveryMetricExists(t *testing.T) {
	t.Parallel()
	known, recorded := documented(t), map[string]bool{}
	var expressions []string
	for _, rule := range allRules(t) {
		expressions = append(expressions, rule.Expr)
		recorded[rule.Record] = true
	}
	shown := map[string]bool{}
	for _, expression := range dashboardExpressions(t) {
		expressions = append(expressions, expression)
		for _, name := range metricName.FindAllString(expression, -1) {
			shown[family(name, known)] = true
		}
	}
	for _, expression := range expressions {
		for _, name := range metricName.FindAllString(expression, -1) {
			require.Contains(t, known, family(name, known), expression)
		}
		for _, name := range recordedName.FindAllString(expression, -1) {
			require.True(t, recorded[name], "%s: %s", name, expression)
		}
		for _, selector := range selectorOf.FindAllStringSubmatch(expression, -1) {
			for _, label := range labelName.FindAllStringSubmatch(selector[2], -1) {
				if !slices.Contains(targetLabels, label[1]) {
					require.Contains(t, known[family(selector[1], known)], label[1], expression)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		require.True(t, shown[name], "no dashboard shows %s", name)
	}
}

var (
	metricName   = regexp.MustCompile(`\bdocmill_[a-z0-9_]+`)
	recordedName = regexp.MustCompile(`\bdocmill:[a-z0-9_:]+`)
	selectorOf   = regexp.MustCompile(`\b(docmill_[a-z0-9_]+)\{([^}]*)\}`)
	labelName    = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	// targetLabels are labels that Prometheus adds, and le, which all histograms have.
	targetLabels = []string{"namespace", "job", "instance", "le"}
)

// family returns the name of a metric without the suffix of a histogram's series.
func family(name string, known map[string][]string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base := strings.TrimSuffix(name, suffix); base != name && known[base] != nil {
			return base
		}
	}
	return name
}

// documented returns the labels of each metric in docs/metrics.md.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(project, "docs", "metrics.md"))
	require.NoError(t, err)
	known := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `docmill_") {
			labels := strings.FieldsFunc(cells[2], func(r rune) bool { return r == '`' || r == ',' || r == ' ' })
			known[strings.Trim(cells[0], "| `")] = append([]string{""}, labels...)
		}
	}
	require.NotEmpty(t, known)
	return known
}

// TestEveryAlertIsDocumentedAndTested requires a section of the runbook, and a test in which the alert fires.
func TestEveryAlertIsDocumentedAndTested(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile(filepath.Join(project, "docs", "runbook.md"))
	require.NoError(t, err)
	var tests strings.Builder
	for _, path := range glob(t, "rules", "tests", "*.yml") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		tests.Write(text)
	}
	alerts := map[string]bool{}
	for _, rule := range allRules(t) {
		if rule.Alert == "" {
			continue
		}
		alerts[rule.Alert] = true
		require.Equal(t, observability.Runbook+strings.ToLower(rule.Alert), rule.Annotations["runbook_url"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
		severity := rule.Labels["severity"]
		require.Contains(t, []string{"page", "ticket"}, severity, rule.Alert)
		require.Contains(t, tests.String(), fmt.Sprintf(`alertname="%s", severity="%s"`, rule.Alert, severity))
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Docmill\w+)$`).FindAllStringSubmatch(string(runbook), -1) {
		require.True(t, alerts[heading[1]], "the runbook has a section for %s, which is no alert", heading[1])
		delete(alerts, heading[1])
	}
	require.Empty(t, alerts, "alerts without a section in docs/runbook.md")
}

type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func allRules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, path := range glob(t, "rules", "*.yml") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			Groups []struct {
				Rules []rule
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &file))
		for _, group := range file.Groups {
			all = append(all, group.Rules...)
		}
	}
	return all
}

func glob(t *testing.T, path ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{deployed}, path...)...))
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	tools, err := install.Ensure(t.Context(), zap.NewNop(), install.Prometheus)
	require.NoError(t, err)
	output, err := exec.CommandContext(t.Context(), tools.Promtool, args...).CombinedOutput()
	require.NoError(t, err, string(output))
}
