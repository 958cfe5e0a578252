package k8s_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/docmill/docmill/k8s/internal/manifest"
)

// everything are values of the chart that select all of its objects, and everythingElse the components with the same.
var (
	everything = map[string]any{
		"ingress":         map[string]any{"enabled": true, "tls": map[string]any{"enabled": true}},
		"certificate":     map[string]any{"enabled": true},
		"httpRoute":       map[string]any{"enabled": true},
		"podMonitor":      map[string]any{"enabled": true},
		"webhooks":        map[string]any{"enabled": true},
		"prometheusRules": map[string]any{"enabled": true},
		"autoscaling": map[string]any{
			"keda": map[string]any{"enabled": true, "prometheusURL": "http://prometheus-operated.monitoring.svc:9090"},
			"hpa":  map[string]any{"enabled": true},
		},
	}
	everythingElse = []string{"ingress", "tls", "gateway-api", "prometheus-operator", "keda", "keda-age", "hpa", "webhooks"}
)

// TestChartHasTheContentOfTheBase compares the chart with the base, and its further objects with the components. The policies
// for the connections to the servers are compared with those of the production overlay.
func TestChartHasTheContentOfTheBase(t *testing.T) {
	t.Parallel()
	production, err := manifest.Kustomize(filesys.MakeFsOnDisk(), "overlays/production")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		values     map[string]any
		components []string
	}{
		"default":    {},
		"everything": {everything, everythingElse},
		"HPA":        {map[string]any{"autoscaling": map[string]any{"hpaConverter": map[string]any{"enabled": true}}}, []string{"hpa-converter"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := loader.Load("chart/docmill")
			require.NoError(t, err)
			base, err := manifest.Kustomize(tree(t, c.components...), "/test")
			require.NoError(t, err)
			chart, _, err := manifest.Chart(source, c.values, "1.34")
			require.NoError(t, err)

			want, got := normalized(t, base), normalized(t, chart)
			delete(want, "NetworkPolicy docmill-keda-to-rabbitmq") // for RabbitMQ in the cluster
			for title, text := range normalized(t, production) {
				if strings.HasPrefix(title, "NetworkPolicy docmill-to-") {
					want[title] = text
				}
			}
			require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
			for title, text := range want {
				require.Equal(t, text, got[title], title)
			}
		})
	}
}

// normalized returns the objects as text by their titles, without what a chart and a kustomization must do differently: the
// hashes in the names of ConfigMaps, the tags of images, the ports of the servers, and what isHelms reports.
func normalized(t *testing.T, objects []manifest.Object) map[string]string {
	t.Helper()
	same := []string{
		"docmill/gateway:local", "docmill/gateway", "docmill/converter:local", "docmill/converter", "docmill/status:local", "docmill/status",
		"port: 5671", "port: 5672", "port: 443", "port: 9000",
	}
	for _, object := range objects {
		if name := object.GetName(); object.GetKind() == "ConfigMap" && strings.Count(name, "-") == 2 {
			same = append(same, name, name[:strings.LastIndex(name, "-")])
		}
	}
	replacer := strings.NewReplacer(same...)
	result := map[string]string{}
	for _, object := range objects {
		text, err := yaml.Marshal(normalizedValue(object.Object))
		require.NoError(t, err)
		result[replacer.Replace(manifest.Title(object))] = replacer.Replace(string(text))
	}
	return result
}

// normalizedValue returns a value without what isHelms reports, and with the variables of containers in the order of their names.
func normalizedValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		result := map[string]any{}
		for key, inner := range value {
			if !isHelms(key, inner) {
				result[key] = normalizedValue(inner)
			}
		}
		return result
	case []any:
		result := []any{}
		for _, inner := range value {
			result = append(result, normalizedValue(inner))
		}
		slices.SortStableFunc(result, func(a, b any) int { return strings.Compare(variableName(a), variableName(b)) })
		return result
	case float64: // a number of YAML
		return int64(value)
	default:
		return value
	}
}

// isHelms reports whether an entry is one that Helm's conventions or this chart add, or a default that only one of both writes.
func isHelms(key string, value any) bool {
	switch key {
	case "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart", "namespace", "imagePullPolicy":
		return true
	case "annotations":
		_, isChecksum := value.(map[string]any)["checksum/settings"]
		return isChecksum
	case "type":
		return value == "ClusterIP"
	}
	return false
}

// variableName returns the name of a variable of a container, and nothing for other values.
func variableName(entry any) string {
	fields, _ := entry.(map[string]any)
	if _, isVariable := fields["value"]; !isVariable {
		return ""
	}
	name, _ := fields["name"].(string)
	return name
}
