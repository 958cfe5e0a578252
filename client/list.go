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

// Page is a page of a list of jobs, the newest first. Their reports are nil.
type Page struct {
	Jobs []Job `json:"jobs"`
	// NextToken selects the next page; it is empty if there are no more jobs.
	NextToken string `json:"next_page_token"`
}

// maxPage is the maximum size of a page.
const maxPage = 100

// List returns the jobs that the filter selects, the newest first, without their reports. It requests one page after another, as
// they are needed, and ends with the first error. The error is a [*Problem] with [CodeListingDisabled] unless the operator
// allows lists.
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

// Page returns at most size jobs, 1 to 100, that the filter selects: the newest, or those of the page with that token. A page may
// have fewer jobs, even if another one follows.
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
	// CountedAt is the time to which the numbers belong, usually a few seconds ago.
	CountedAt time.Time `json:"counted_at"`
	// Jobs are the numbers of jobs by status.
	Jobs map[Status]int64 `json:"jobs"`
	// Queue has the waiting times.
	Queue struct {
		// OldestWaiting is how long the oldest job that waits for its first attempt has waited, in seconds; 0 if there is none.
		OldestWaiting float64 `json:"oldest_waiting_seconds"`
		// Sample is the number of jobs that P50 and P95 come from: the newest that were started.
		Sample int `json:"sample"`
		// P50 and P95 are the times, in seconds, that 50% and 95% of these jobs did not wait longer than; nil without any.
		P50 *float64 `json:"p50_seconds"`
		P95 *float64 `json:"p95_seconds"`
	} `json:"queue"`
}

// Stats returns the numbers of jobs. The error is a [*Problem] with [CodeListingDisabled] unless the operator allows lists.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	_, err := c.get(ctx, "/v1/stats", http.Header{}, 0, &stats)
	return stats, err
}
