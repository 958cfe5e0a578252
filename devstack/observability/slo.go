// Package observability generates the rules and dashboards in deploy/observability from tables. Its tests write the files with
// -update, and check what operators see of a running Docmill.
package observability

import (
	"fmt"
	"strings"
)

// slo is a service level objective over 30 days.
type slo struct {
	// name is the name of the recording rules, and alert that of the alert, whose section in the runbook has the same name.
	name, alert string
	// budget is the share of bad events, or of bad time, that the objective allows.
	budget float64
	// bad is the expression of the share that was bad in the time window WINDOW.
	bad string
	// summary says what the clients notice.
	summary string
}

// Codes of submissions that this installation, and not their client, is responsible for.
const unavailable = "busy|internal|queue-unavailable|queue-unconfirmed|status-unavailable|store-unavailable"

// slos are the objectives. Prometheus 3 writes the bound of a bucket as 30.0, and Prometheus 2 as 30. All rules keep the label namespace, so that one Prometheus can watch several installations.
var slos = []slo{ //nolint:gochecknoglobals // an immutable table
	{
		name: "submissions_failed", alert: "DocmillSubmissionsFail", budget: .001,
		bad: `sum by (namespace) (rate(docmill_gateway_uploads_total{code=~"` + unavailable + `"}[WINDOW]))
/
sum by (namespace) (rate(docmill_gateway_uploads_total[WINDOW]))`,
		summary: "Submissions are rejected because of a problem of the service",
	}, {
		name: "jobs_failed", alert: "DocmillJobsFail", budget: .001,
		bad: `sum by (namespace) (rate(docmill_status_jobs_ended_total{outcome="failed"}[WINDOW]))
/
sum by (namespace) (rate(docmill_status_jobs_ended_total[WINDOW]))`,
		summary: "Jobs fail because of a problem of the service",
	}, {
		name: "results_late", alert: "DocmillResultsLate", budget: .05,
		bad: `1 - sum by (namespace) (rate(docmill_status_time_to_result_seconds_bucket{le=~"30([.]0)?"}[WINDOW]))
/
sum by (namespace) (rate(docmill_status_time_to_result_seconds_count[WINDOW]))`,
		summary: "More than 5% of the jobs take longer than 30 s from their submission to their end",
	}, {
		name: "queue_old", alert: "DocmillQueueOld", budget: .01,
		bad:     `avg_over_time((max by (namespace) (docmill_status_oldest_waiting_job_age_seconds) > bool 120)[WINDOW:1m])`,
		summary: "Jobs wait for a converter for more than 2 minutes",
	}, {
		name: "messages_dead", alert: "DocmillMessagesDead", budget: .0001,
		bad: `(
  sum by (namespace) (rate(docmill_status_events_total{outcome="dead_lettered"}[WINDOW]))
  +
  sum by (namespace) (rate(docmill_status_dead_commands_total[WINDOW]))
)
/
sum by (namespace) (rate(docmill_status_events_total[WINDOW]))`,
		summary: "Messages end up in a dead-letter queue",
	}, {
		name: "events_late", alert: "DocmillEventsLate", budget: .01,
		bad: `1 - sum by (namespace) (rate(docmill_status_event_lag_seconds_bucket{le=~"5([.]0)?"}[WINDOW]))
/
sum by (namespace) (rate(docmill_status_event_lag_seconds_count[WINDOW]))`,
		summary: "The states of jobs are more than 5 s out of date",
	},
}

// burn is a rate at which the budget is spent, with the long window in which it is measured, and the short one that ends the
// alert soon after the cause has ended.
type burn struct {
	rate        float64
	long, short string
}

// The burn rates of the SRE workbook (chapter 5, table 5-8). At the rates of a page, 2% of the budget of 30 days are spent in an
// hour, or 5% in 6 hours; at those of a ticket, 10% in a day or in 3 days.
var (
	pages   = []burn{{14.4, "1h", "5m"}, {6, "6h", "30m"}}        //nolint:gochecknoglobals // an immutable table
	tickets = []burn{{3, "1d", "2h"}, {1, "3d", "6h"}}            //nolint:gochecknoglobals // an immutable table
	windows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} //nolint:gochecknoglobals // an immutable table
)

// Runbook is the address of the runbook; an alert's section is its anchor.
const Runbook = "https://github.com/docmill/docmill/blob/main/docs/runbook.md#"

// Objectives returns deploy/observability/rules/slo.yml.
func Objectives() string {
	var text strings.Builder
	text.WriteString(`# Service level objectives, and alerts on the rate at which their error budgets are spent. Generated from
# devstack/observability/slo.go: go test -run=TestObjectives ./devstack/observability -update
groups:
`)
	for _, o := range slos {
		fmt.Fprintf(&text, "- name: docmill-slo-%s\n  rules:\n", strings.ReplaceAll(o.name, "_", "-"))
		for _, window := range windows {
			fmt.Fprintf(&text, "  - record: docmill:%s:ratio_%s\n    expr: |\n%s\n", o.name, window,
				indented(strings.ReplaceAll(o.bad, "WINDOW", window)))
		}
		o.alertOn(&text, "page", pages)
		o.alertOn(&text, "ticket", tickets)
	}
	return text.String()
}

func (o slo) alertOn(text *strings.Builder, severity string, burns []burn) {
	var conditions []string
	for _, b := range burns {
		limit := fmt.Sprintf("%.4g", b.rate*o.budget)
		conditions = append(conditions, fmt.Sprintf("docmill:%s:ratio_%s > %s and docmill:%s:ratio_%s > %s", o.name, b.long, limit, o.name, b.short, limit))
	}
	fmt.Fprintf(text, `  - alert: %s
    expr: |
%s
    labels:
      severity: %s
    annotations:
      summary: %s.
      description: '{{ $value | humanizePercentage }} were affected; the objective allows %.4g%% in 30 days.'
      runbook_url: %s%s
`, o.alert, indented(strings.Join(conditions, "\nor\n")), severity, o.summary, o.budget*100, Runbook, strings.ToLower(o.alert))
}

func indented(expression string) string {
	return "      " + strings.ReplaceAll(expression, "\n", "\n      ")
}
