package jobapi

import "time"

// The numbers of jobs on a page.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)

// JobsPath is the path of the list of jobs, and StatsPath that of the statistics.
const (
	JobsPath  = "/v1/jobs"
	StatsPath = "/v1/stats"
)

// JobList is the response to GET /v1/jobs.
type JobList struct {
	// Jobs are the jobs of the page, newest first. They have no report.
	Jobs []Job `json:"jobs"`
	// NextPageToken selects the next page. It is omitted if there are no more jobs.
	NextPageToken string `json:"next_page_token,omitempty"`
}

// Stats is the response to GET /v1/stats.
type Stats struct {
	// CountedAt is when the jobs were counted, usually a few seconds ago.
	CountedAt time.Time  `json:"counted_at"`
	Jobs      JobCounts  `json:"jobs"`
	Queue     QueueTimes `json:"queue"`
}

// JobCounts are the numbers of jobs by status, without deleted jobs. Expired ones are counted until their files are deleted, usually a few
// seconds later.
type JobCounts struct {
	Queued    int64 `json:"queued"`
	Running   int64 `json:"running"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Canceled  int64 `json:"canceled"`
}

// QueueTimes are how long jobs wait before an attempt starts, in seconds.
type QueueTimes struct {
	// OldestWaiting is how long the oldest job that still waits for its first attempt has waited; 0 if there is none.
	OldestWaiting float64 `json:"oldest_waiting_seconds"`
	// Sample is the number of jobs that P50 and P95 are computed from: those of the newest 1,000 that an attempt has started for.
	Sample int `json:"sample"`
	// P50 is the median of the times from the submission of a job to the start of its last attempt. It is omitted if Sample is 0.
	P50 *float64 `json:"p50_seconds,omitempty"`
	// P95 is the 95th percentile of these times.
	P95 *float64 `json:"p95_seconds,omitempty"`
}
