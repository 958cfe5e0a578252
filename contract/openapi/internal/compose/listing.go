package compose

import (
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

// listingNote says when the operations of this file work.
const listingNote = " Available only if the operator has set allow-listing: there are no accounts, and anyone who knows the id of a job can download its result."

func listJobs() operation {
	statuses := []jobapi.Status{jobapi.Queued, jobapi.Running, jobapi.Succeeded, jobapi.Failed, jobapi.Canceled}
	var names []string
	for _, status := range statuses {
		names = append(names, string(status))
	}
	moment := openapi.Schema{Type: "string", Format: "date-time"}
	list := openapi.Operation{
		OperationID: "listJobs", Tags: []string{jobs}, Summary: "List jobs, newest first",
		Description: "Deleted and expired jobs are not listed. A page may have fewer jobs than page_size; there are more jobs as long as there is a next_page_token. Jobs that are submitted meanwhile do not move others to another page." + listingNote,
		Parameters: []openapi.Parameter{
			{
				Name: "status", In: "query", Example: names[3:4], Description: "Only jobs with this status. Repeat the parameter to select several.",
				Schema: openapi.Schema{Type: "array", Items: &openapi.Schema{Type: "string", Enum: names}},
			},
			{Name: "tag", In: "query", Schema: openapi.Schema{Type: "string", MaxLength: option.MaxTag}, Example: "nightly", Description: "Only jobs with exactly this tag."},
			{Name: "created_after", In: "query", Schema: moment, Example: "2026-11-20T10:00:00Z", Description: "Only jobs that were submitted at this time or later."},
			{Name: "created_before", In: "query", Schema: moment, Example: "2026-11-21T10:00:00Z", Description: "Only jobs that were submitted before this time."},
			{
				Name: "page_size", In: "query", Example: jobapi.MaxPageSize, Description: "The maximum number of jobs in the response.",
				Schema: openapi.Schema{Type: "integer", Minimum: new(1), Maximum: new(jobapi.MaxPageSize), Default: jobapi.DefaultPageSize},
			},
			{Name: "page_token", In: "query", Schema: text(), Description: "The next_page_token of the previous page. The other parameters must be the same as for that page, except page_size."},
		},
	}
	job := succeeded()
	job.Report = nil
	example := jobapi.JobList{Jobs: []jobapi.Job{job}, NextPageToken: "AQGYHH5sH3099p0ODGsMHAx7EY2E5c1vV8hU"} //nolint:gosec // no secret
	list.Responses.Set("200", openapi.Response{
		Description: "The jobs. They have no report.", Headers: notStored(),
		Content: jsonBody(ref("JobList"), "page", openapi.Example{Summary: "A page with one job", Value: example}),
	})
	return operation{path: jobapi.JobsPath, described: list, problems: []problem.Code{
		problem.ParameterInvalid, problem.ListingDisabled, problem.StatusUnavailable,
	}}
}

func getStats() operation {
	stats := openapi.Operation{
		OperationID: "getStats", Tags: []string{jobs}, Summary: "Job counts and waiting times",
		Description: "The jobs are counted at most every 5 seconds, and less often if there are many millions of them." + listingNote,
	}
	example := jobapi.Stats{
		CountedAt: at(0), Jobs: jobapi.JobCounts{Queued: 3, Running: 2, Succeeded: 1204, Failed: 17},
		Queue: jobapi.QueueTimes{OldestWaiting: 1.2, Sample: 1000, P50: new(0.08), P95: new(2.4)},
	}
	stats.Responses.Set("200", openapi.Response{
		Description: "The numbers.", Headers: notStored(),
		Content: jsonBody(ref("Stats"), "stats", openapi.Example{Summary: "A few jobs", Value: example}),
	})
	return operation{path: jobapi.StatsPath, described: stats, problems: []problem.Code{problem.ListingDisabled, problem.StatusUnavailable}}
}

func notStored() openapi.Map[openapi.Header] {
	return openapi.Map[openapi.Header]{{Name: "Cache-Control", Value: header("Not to be stored.")}}
}
