package observability

import (
	"encoding/json"
	"fmt"
	"strings"
)

// dashboard is a dashboard of Grafana: rows of panels, two panels side by side.
type dashboard struct {
	id, title string
	rows      []row
}

type row struct {
	title  string
	panels []panel
}

// panel is a graph of some queries over time.
type panel struct {
	title, help string
	unit        string // one of Grafana's units
	queries     []query
}

type query struct {
	expression string
	// legend is the name of a series, with labels as {{label}}.
	legend string
}

// one returns a panel with one query.
func one(title, unit, expression, legend string) panel {
	return panel{title: title, unit: unit, queries: []query{{expression, legend}}}
}

// Grafana's units.
const (
	seconds   = "s"
	bytesUnit = "bytes"
	perSecond = "ops"
	percent   = "percentunit"
	number    = "short"
)

// of selects the series of a metric in the namespace that the dashboard shows. In an installation without namespaces, that is
// all of them.
func of(metric string, matchers ...string) string {
	return metric + "{" + strings.Join(append([]string{`namespace=~"$namespace"`}, matchers...), ",") + "}"
}

// rate returns the rate of a counter, summed by labels.
func rate(by, metric string, matchers ...string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", by, of(metric, matchers...))
}

// total returns the sum of a gauge by labels.
func total(by, metric string, matchers ...string) string {
	return fmt.Sprintf("sum by (%s) (%s)", by, of(metric, matchers...))
}

// highest returns the maximum of a gauge by labels. It is for gauges that all replicas report alike.
func highest(by, metric string) string {
	return fmt.Sprintf("max by (%s) (%s)", by, of(metric))
}

// quantile returns a quantile of a histogram by labels.
func quantile(q float64, by, histogram string, matchers ...string) string {
	if by != "" {
		by = ", " + by
	}
	return fmt.Sprintf("histogram_quantile(%g, sum by (le%s) (rate(%s[$__rate_interval])))", q, by, of(histogram+"_bucket", matchers...))
}

// quantiles returns a panel with the median, the 95th and the 99th percentile of a histogram.
func quantiles(title, histogram string) panel {
	p := panel{title: title, unit: seconds}
	for _, q := range []float64{.5, .95, .99} {
		p.queries = append(p.queries, query{quantile(q, "", histogram), fmt.Sprintf("p%g", q*100)})
	}
	return p
}

// mean returns the mean of a histogram by labels.
func mean(by, histogram string) string {
	return rate(by, histogram+"_sum") + " / " + rate(by, histogram+"_count")
}

// Dashboards returns the files of deploy/observability/grafana/dashboards by their names.
func Dashboards() (map[string]string, error) {
	files := map[string]string{}
	for _, d := range dashboards() {
		text, err := json.MarshalIndent(d.json(), "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encode the dashboard %s: %w", d.id, err)
		}
		files[d.id+".json"] = string(text) + "\n"
	}
	return files, nil
}

type object = map[string]any

// json returns the dashboard in Grafana's format.
func (d dashboard) json() object {
	var panels []object
	y := 0
	add := func(p object, x, width, height int) {
		p["id"], p["gridPos"] = len(panels)+1, object{"x": x, "y": y, "w": width, "h": height}
		panels = append(panels, p)
	}
	const width, height = 12, 8
	for _, r := range d.rows {
		add(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}}, 0, 2*width, 1)
		y++
		for i, p := range r.panels {
			add(p.json(), i%2*width, width, height)
			if i%2 == 1 || i == len(r.panels)-1 {
				y += height
			}
		}
	}
	return object{
		"uid": "docmill-" + d.id, "title": "Docmill: " + d.title, "tags": []string{"docmill"}, "schemaVersion": 39, "version": 1,
		"editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "browser", "time": object{"from": "now-1h", "to": "now"},
		"links": []object{{"type": "dashboards", "title": "Docmill", "tags": []string{"docmill"}, "asDropdown": false, "includeVars": true, "keepTime": true}},
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": object{}},
			{
				"name": "namespace", "label": "Namespace", "type": "query", "datasource": datasource(), "refresh": 2, "sort": 1,
				"query":      object{"query": "label_values(docmill_build_info, namespace)", "refId": "namespaces"},
				"includeAll": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"},
			},
		}},
		"annotations": object{"list": []object{}},
		"panels":      panels,
	}
}

func datasource() object { return object{"type": "prometheus", "uid": "${datasource}"} }

func (p panel) json() object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource(), "editorMode": "code", "range": true,
			"expr": q.expression, "legendFormat": q.legend,
		})
	}
	return object{
		"type": "timeseries", "title": p.title, "description": p.help, "datasource": datasource(), "targets": targets,
		"fieldConfig": object{
			"defaults":  object{"unit": p.unit, "min": 0, "custom": object{"fillOpacity": 10, "showPoints": "never"}},
			"overrides": []object{},
		},
		"options": object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
}
