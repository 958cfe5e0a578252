package k8s_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the objects that are generated from deploy/observability")

// TestPrometheusRulesAreCurrent checks that the component prometheus-operator and the chart have the rules of Prometheus that
// are in deploy/observability.
func TestPrometheusRulesAreCurrent(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("../deploy/observability/rules/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, sources)
	component := "# Generated from deploy/observability/rules: go test -run=TestPrometheusRules ./k8s -update\n"
	for _, source := range sources {
		content, err := os.ReadFile(source)
		require.NoError(t, err)
		isCurrent(t, filepath.Join("chart/docmill/files/rules", filepath.Base(source)), string(content))

		var spec map[string]any
		require.NoError(t, yaml.Unmarshal(content, &spec))
		name := "docmill-" + strings.TrimSuffix(filepath.Base(source), ".yml")
		object, err := yaml.Marshal(map[string]any{
			"apiVersion": "monitoring.coreos.com/v1",
			"kind":       "PrometheusRule",
			"metadata": map[string]any{
				"name":   name,
				"labels": map[string]any{"app.kubernetes.io/name": "docmill", "app.kubernetes.io/part-of": "docmill"},
			},
			"spec": spec,
		})
		require.NoError(t, err)
		component += "---\n" + string(object)
	}
	isCurrent(t, "components/prometheus-operator/rules.yaml", component)
}

// isCurrent checks the content of a generated file, or writes it.
func isCurrent(t *testing.T, path, content string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	found, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, string(found), "%s is stale: go test -run=TestPrometheusRules ./k8s -update", path)
}
