package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Filter selects jobs. Its zero value selects all.
type Filter struct {
	// Statuses selects jobs that have one of them.
	Statuses []Status
	// Tag selects jobs with exactly this tag.
	Tag string
	// CreatedAfter and CreatedBefore select jobs that were submitted at this time or later, and before this time, in whole
	// milliseconds.
	CreatedAfter, CreatedBefore time.Time
}

// Page is a page of a list of jobs, newest first. Their reports are nil.
type Page struct {
	Jobs []Job `json:"jobs"`
	// NextToken selects the next page; it is empty if there are no more jobs.
	NextToken string `json:"next_page_token"`
}

// maxPage is the maximum size of a page.
const maxPage = 100

// List returns the jobs that the filter selects, newest first, without their reports. It requests further pages as they are needed,
// and ends with the first error. The error is a [*Problem] with [CodeListingDisabled] unless the operator allows listing.
func (c *Client) List(ctx context.Context, filter Filter) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		token := ""
		for {
			page, err := c.Page(ctx, filter, maxPage, token)
			if err != nil {
				yield(Job{}, err)
				return
			}
			for _, job := range page.Jobs {
				if !yield(job, nil) {
					return
				}
			}
			if token = page.NextToken; token == "" {
				return
			}
		}
	}
}

// Page returns a page of the jobs that the filter selects: the first page if token is empty, otherwise the page with that token. size is
// the maximum number of jobs, 1 to 100. A page may have fewer jobs even if another page follows.
func (c *Client) Page(ctx context.Context, filter Filter, size int, token string) (Page, error) {
	query := url.Values{"page_size": {strconv.Itoa(size)}}
	for _, status := range filter.Statuses {
		query.Add("status", string(status))
	}
	for name, value := range map[string]string{
		"tag": filter.Tag, "page_token": token, "created_after": moment(filter.CreatedAfter), "created_before": moment(filter.CreatedBefore),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var page Page
	_, err := c.get(ctx, "/v1/jobs?"+query.Encode(), http.Header{}, 0, &page)
	return page, err
}

// moment formats a time; a zero time is empty.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Stats are the numbers of jobs and their waiting times.
type Stats struct {
	// CountedAt is when the jobs were counted, usually a few seconds ago.
	CountedAt time.Time `json:"counted_at"`
	// Jobs are the numbers of jobs by status.
	Jobs map[Status]int64 `json:"jobs"`
	// Queue has the waiting times.
	Queue struct {
		// OldestWaiting is how long the oldest job that waits for its first attempt has waited, in seconds; 0 if there is none.
		OldestWaiting float64 `json:"oldest_waiting_seconds"`
		// Sample is the number of jobs that P50 and P95 are computed from: those of the newest 1,000 that an attempt has started for.
		Sample int `json:"sample"`
		// P50 and P95 are percentiles of the time from submission to the start of the last attempt, in seconds; nil if Sample is 0.
		P50 *float64 `json:"p50_seconds"`
		P95 *float64 `json:"p95_seconds"`
	} `json:"queue"`
}

// Stats returns the numbers of jobs and their waiting times. The error is a [*Problem] with [CodeListingDisabled] unless the
// operator allows listing.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	_, err := c.get(ctx, "/v1/stats", http.Header{}, 0, &stats)
	return stats, err
}
