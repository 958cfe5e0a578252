package observability

import "fmt"

// dashboards returns all dashboards.
func dashboards() []dashboard {
	return []dashboard{overview(), gateway(), converter(), status(), broker()}
}

func overview() dashboard {
	return dashboard{"overview", "overview", []row{
		{"Service level objectives", []panel{
			burnRates("1h"), burnRates("3d"),
			{title: "Alerts", unit: number, queries: []query{{
				`count by (alertname, severity) (ALERTS{alertname=~"Docmill.*",alertstate="firing",namespace=~"$namespace"}) or vector(0)`,
				"{{alertname}} {{severity}}",
			}}},
			quantiles("Time from submission to result", "docmill_status_time_to_result_seconds"),
		}},
		{"Work", []panel{
			one("Submissions", perSecond, rate("code", "docmill_gateway_uploads_total")+" > 0", "{{code}}"),
			one("Ended jobs", perSecond, rate("outcome", "docmill_status_jobs_ended_total"), "{{outcome}}"),
			one("Waiting commands", number, highest("", "docmill_gateway_queue_depth"), "commands"),
			{title: "Age of the oldest waiting job, and expected wait", unit: seconds, queries: []query{
				{highest("", "docmill_status_oldest_waiting_job_age_seconds"), "oldest job"},
				{highest("", "docmill_gateway_queue_wait_seconds"), "expected wait of a new job"},
			}},
		}},
		{"Saturation", []panel{
			{title: "Slots for conversions", unit: number, queries: []query{
				{total("", "docmill_converter_slots_in_use"), "in use"}, {total("", "docmill_converter_slots"), "all"},
			}},
			{title: "Slots for uploads", unit: number, queries: []query{
				{total("", "docmill_gateway_upload_slots_in_use"), "in use"}, {total("", "docmill_gateway_upload_slots"), "all"},
			}},
			one("Dependencies that do not work", number, "count by (dependency) ("+of("docmill_dependency_up")+" == 0) or vector(0)", "{{dependency}}"),
			one("Dead letters", number, highest("queue", "docmill_status_dead_letters"), "{{queue}}"),
		}},
		{"Processes", processes()},
	}}
}

// burnRates returns a panel with how fast the error budgets are spent.
func burnRates(window string) panel {
	p := panel{
		title: "Burn rates of the error budgets, " + window, unit: number,
		help: "1 spends a budget within 30 days. Pages are sent at 14.4 in an hour or 6 in 6 hours, tickets at 3 in a day or 1 in 3 days.",
	}
	for _, o := range slos {
		p.queries = append(p.queries, query{fmt.Sprintf("%s / %g", of("docmill:"+o.name+":ratio_"+window), o.budget), o.name})
	}
	return p
}

// processes returns panels about all processes of Docmill.
func processes() []panel {
	const job = `job=~".*docmill.*"`
	return []panel{
		one("Processor", "short", rate("job, instance", "process_cpu_seconds_total", job), "{{job}} {{instance}}"),
		one("Memory", bytesUnit, of("process_resident_memory_bytes", job), "{{job}} {{instance}}"),
		one("File descriptors", percent, of("process_open_fds", job)+" / "+of("process_max_fds", job), "{{job}} {{instance}}"),
		one("Versions", number, "count by (version, revision) ("+of("docmill_build_info")+")", "{{version}} {{revision}}"),
	}
}

// requests returns panels about the HTTP requests that a service receives.
func requests(service string) []panel {
	server := fmt.Sprintf("server=%q", service)
	return []panel{
		one("Requests", perSecond, rate("method, route, status", "docmill_http_request_duration_seconds_count", server), "{{method}} {{route}} {{status}}"),
		{
			title: "Duration of requests, p95", unit: seconds, help: "Long polls last until their job changes.",
			queries: []query{{quantile(.95, "method, route", "docmill_http_request_duration_seconds", server), "{{method}} {{route}}"}},
		},
		one("Requests in flight", number, total("instance", "docmill_http_requests_in_flight", server), "{{instance}}"),
	}
}

// store returns panels about the requests to the object store.
func store(bucket string) []panel {
	matcher := fmt.Sprintf("bucket=%q", bucket)
	return []panel{
		one("Requests for "+bucket, perSecond, rate("operation, outcome", "docmill_store_request_duration_seconds_count", matcher)+" > 0", "{{operation}} {{outcome}}"),
		one("Duration of requests for "+bucket+", p95", seconds, quantile(.95, "operation", "docmill_store_request_duration_seconds", matcher), "{{operation}}"),
	}
}

func gateway() dashboard {
	return dashboard{"gateway", "gateway", []row{
		{"Submissions", []panel{
			one("Submissions", perSecond, rate("code", "docmill_gateway_uploads_total")+" > 0", "{{code}}"),
			quantiles("Duration of accepted submissions", "docmill_gateway_upload_duration_seconds"),
			one("Accepted bytes", "Bps", rate("", "docmill_gateway_accepted_bytes_total"), "accepted"),
			{title: "Open uploads", unit: number, queries: []query{
				{total("", "docmill_gateway_uploads_in_flight"), "open"},
				{total("", "docmill_gateway_uploads_limit"), "limit"},
				{total("", "docmill_gateway_upload_slots_in_use"), "being stored"},
				{total("", "docmill_gateway_upload_slots"), "limit of those that are being stored"},
			}},
			one("Withdrawn submissions", perSecond, rate("outcome", "docmill_gateway_withdrawals_total"), "{{outcome}}"),
			one("Searches for an earlier result", perSecond, rate("outcome", "docmill_gateway_cache_lookups_total"), "{{outcome}}"),
			one("Open streams of events", number, total("instance", "docmill_gateway_streams"), "{{instance}}"),
		}},
		{"Requests", requests("docmill-gateway")},
		{"Store", store("sources")},
		{"Queue", []panel{
			one("Waiting commands", number, highest("", "docmill_gateway_queue_depth"), "commands"),
			one("Expected wait of a new job", seconds, highest("", "docmill_gateway_queue_wait_seconds"), "wait"),
		}},
	}}
}

func converter() dashboard {
	return dashboard{"converter", "converter and engine", []row{
		{"Attempts", []panel{
			one("Attempts", perSecond, rate("code", "docmill_converter_attempts_total"), "{{code}}"),
			one("Attempts by format", perSecond, rate("format", "docmill_converter_attempts_total"), "{{format}}"),
			quantiles("Duration of attempts", "docmill_converter_attempt_duration_seconds"),
			one("Mean duration of phases", seconds, mean("phase", "docmill_converter_phase_duration_seconds"), "{{phase}}"),
			one("Duration of phases, p95", seconds, quantile(.95, "phase", "docmill_converter_phase_duration_seconds"), "{{phase}}"),
			{title: "Slots", unit: number, queries: []query{
				{total("instance", "docmill_converter_slots_in_use"), "in use {{instance}}"}, {total("instance", "docmill_converter_slots"), "all {{instance}}"},
			}},
			one("Attempts in progress", number, total("instance", "docmill_converter_attempts_in_progress"), "{{instance}}"),
			one("Bytes of successful attempts", "Bps", rate("of", "docmill_converter_bytes_total"), "{{of}}"),
		}},
		{"LibreOffice", []panel{
			one("Children that have ended", perSecond, rate("end", "docmill_engine_children_total"), "{{end}}"),
			one("Processor time of children", "short", rate("instance", "docmill_engine_cpu_seconds_total"), "{{instance}}"),
			one("Loaded LibreOffice processes that ended", perSecond, rate("reason", "docmill_engine_parents_ended_total"), "{{reason}}"),
			one("Memory of the loaded LibreOffice", bytesUnit, total("instance", "docmill_engine_parent_resident_bytes"), "{{instance}}"),
		}},
		{"Store", store("results")},
	}}
}

func status() dashboard {
	return dashboard{"status", "status service and databases", []row{
		{"Jobs", []panel{
			one("Ended jobs", perSecond, rate("outcome, code", "docmill_status_jobs_ended_total")+" > 0", "{{outcome}} {{code}}"),
			one("Time from submission to result, p95", seconds, quantile(.95, "outcome", "docmill_status_time_to_result_seconds"), "{{outcome}}"),
			one("Age of the oldest waiting job", seconds, highest("", "docmill_status_oldest_waiting_job_age_seconds"), "age"),
			one("Requests for earlier results", perSecond, rate("outcome", "docmill_status_reuse_requests_total"), "{{outcome}}"),
			one("Dead letters", number, highest("queue", "docmill_status_dead_letters"), "{{queue}}"),
		}},
		{"Webhooks", []panel{
			one("Attempts to send a webhook", perSecond, rate("outcome", "docmill_status_webhook_attempts_total"), "{{outcome}}"),
			quantiles("Time of an attempt", "docmill_status_webhook_duration_seconds"),
			one("Pending webhooks", number, highest("", "docmill_status_webhooks_pending"), "webhooks"),
			one("Time since the first attempt was due", seconds, highest("", "docmill_status_webhooks_overdue_seconds"), "overdue"),
		}},
		{"Events", []panel{
			one("Deleted after the retention", perSecond, rate("kind", "docmill_status_purged_total"), "{{kind}}"),
			one("Deletion held, because a clock may be wrong", number, highest("", "docmill_status_deletion_held"), "held"),
			one("Deleted files without a job", perSecond, rate("kind", "docmill_status_orphans_deleted_total"), "{{kind}}"),
			one("Events", perSecond, rate("event, outcome", "docmill_status_events_total")+" > 0", "{{event}} {{outcome}}"),
			quantiles("Time from publication to application", "docmill_status_event_lag_seconds"),
			one("Mean number of events in a transaction", number, mean("", "docmill_status_batch_events"), "events"),
			quantiles("Duration of transactions", "docmill_status_apply_duration_seconds"),
			one("Dead commands", perSecond, rate("", "docmill_status_dead_commands_total"), "commands"),
			one("Waiting requests", number, total("instance", "docmill_status_waiters"), "{{instance}}"),
		}},
		{"PostgreSQL", []panel{
			{title: "Connections", unit: number, queries: []query{
				{total("instance", "docmill_database_connections_in_use"), "in use {{instance}}"},
				{total("instance", "docmill_database_connections_open"), "open {{instance}}"},
				{total("instance", "docmill_database_connections_limit"), "limit {{instance}}"},
			}},
			{title: "Waits for a connection", unit: perSecond, queries: []query{
				{rate("instance", "docmill_database_connection_waits_total"), "{{instance}}"},
				{rate("instance", "docmill_database_connection_waits_canceled_total"), "given up {{instance}}"},
			}},
			one("Time of waits for a connection", "short", rate("instance", "docmill_database_connection_wait_seconds_total"), "seconds per second {{instance}}"),
		}},
		{"SQLite (docmill serve)", []panel{
			one("Commits", perSecond, rate("durability, outcome", "docmill_sqlite_commits_total"), "{{durability}} {{outcome}}"),
			one("Duration of writes, p95", seconds, quantile(.95, "durability", "docmill_sqlite_write_duration_seconds"), "{{durability}}"),
			one("Mean number of writes in a transaction", number, mean("", "docmill_sqlite_commit_writes"), "writes"),
			one("Write-ahead log", number, highest("", "docmill_sqlite_log_frames"), "frames"),
			one("Mean duration of checkpoints", seconds, mean("", "docmill_sqlite_checkpoint_duration_seconds"), "checkpoint"),
		}},
		{"Requests", requests("docmill-status")},
	}}
}

func broker() dashboard {
	return dashboard{"broker", "message broker", []row{
		{"Connections", []panel{
			one("Connections that are up", number, total("connection", "docmill_broker_connected"), "{{connection}}"),
			one("Blocked connections", number, total("connection", "docmill_broker_blocked"), "{{connection}}"),
			one("Lost connections", perSecond, rate("connection", "docmill_broker_connection_losses_total"), "{{connection}}"),
		}},
		{"Publishers", []panel{
			one("Publications", perSecond, rate("instance, outcome", "docmill_broker_publish_duration_seconds_count")+" > 0", "{{instance}} {{outcome}}"),
			one("Duration of publications, p95", seconds, quantile(.95, "instance", "docmill_broker_publish_duration_seconds"), "{{instance}}"),
			one("Publications in flight", number, total("instance", "docmill_broker_publishes_in_flight"), "{{instance}}"),
		}},
		{"Consumers", []panel{
			one("Deliveries", perSecond, rate("connection, outcome", "docmill_broker_deliveries_total")+" > 0", "{{connection}} {{outcome}}"),
			one("Deliveries in hand", number, total("connection", "docmill_broker_deliveries_in_hand"), "{{connection}}"),
			one("Duration of handling, p95", seconds, quantile(.95, "connection", "docmill_broker_handling_duration_seconds"), "{{connection}}"),
			one("Mean number of deliveries in a batch", number, mean("connection", "docmill_broker_batch_deliveries"), "{{connection}}"),
		}},
		{"Queues", []panel{
			one("Waiting commands", number, highest("", "docmill_gateway_queue_depth"), "commands"),
			one("Waiting messages (docmill serve)", number, highest("queue", "docmill_queue_messages_ready"), "{{queue}}"),
			one("Dead letters", number, highest("queue", "docmill_status_dead_letters"), "{{queue}}"),
		}},
	}}
}
