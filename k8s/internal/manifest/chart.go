package manifest

import (
	"fmt"
	"maps"
	"path"
	"slices"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// Chart renders a Helm chart as the release docmill in the namespace docmill. Values are added to the chart's own, and must
// follow its schema. The text of NOTES.txt is returned too.
func Chart(source *chart.Chart, values map[string]any, kubernetes string) (objects []Object, notes string, err error) {
	if !chartutil.IsCompatibleRange(source.Metadata.KubeVersion, kubernetes) {
		return nil, "", fmt.Errorf("the chart is for Kubernetes %s, not %s", source.Metadata.KubeVersion, kubernetes)
	}
	version, err := chartutil.ParseKubeVersion(kubernetes)
	if err != nil {
		return nil, "", fmt.Errorf("parse the version of Kubernetes: %w", err)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	release := chartutil.ReleaseOptions{Name: "docmill", Namespace: "docmill", Revision: 1, IsInstall: true}
	input, err := chartutil.ToRenderValues(source, values, release, capabilities)
	if err != nil {
		return nil, "", fmt.Errorf("check the values of the chart: %w", err)
	}
	rendered, err := engine.Render(source, input)
	if err != nil {
		return nil, "", fmt.Errorf("render the chart: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if path.Base(name) == "NOTES.txt" {
			notes = rendered[name]
			continue
		}
		parsed, err := Parse([]byte(rendered[name]))
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, parsed...)
	}
	return objects, notes, nil
}
