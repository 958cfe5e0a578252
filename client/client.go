// Package client is the Go client of Docmill's HTTP API: it submits documents, waits for their jobs and downloads the
// results.
//
//	docmill := client.New("http://127.0.0.1:8080")
//	job, err := docmill.SubmitFile(ctx, "deck.pptx")
//	…
//	job, err = docmill.Wait(ctx, job)
//	…
//	err = docmill.DownloadFile(ctx, job, "deck.pdf")
//
// A request that fails for a reason that may pass is repeated; see [Retries]. An error that Docmill reports is a
// [*Problem] if a request failed, and a [*JobError] if a job did; [IsCode] tests for both. Other errors are those of the
// network, of files, or of the context.
//
// Documents and results are streamed, and never held in memory as a whole.
package client

import (
	"net/http"
	"strings"
)

// Client uses one Docmill. It is safe for concurrent use.
type Client struct {
	base    string
	http    *http.Client
	agent   string
	retries Retries
}

// Option changes a client that [New] returns.
type Option func(*Client)

// New returns a client of the Docmill at that URL, for example https://docmill.example.com. It does not connect.
func New(baseURL string, options ...Option) *Client {
	c := &Client{
		base: strings.TrimSuffix(baseURL, "/"), http: http.DefaultClient, agent: "docmill-client", retries: defaultRetries(),
	}
	for _, apply := range options {
		apply(c)
	}
	return c
}

// WithHTTPClient sets the HTTP client to send requests with, instead of [http.DefaultClient]. Its Timeout should be zero: it
// would also end long uploads, downloads and streams of events. Use contexts instead.
func WithHTTPClient(with *http.Client) Option { return func(c *Client) { c.http = with } }

// WithUserAgent sets the header User-Agent of all requests.
func WithUserAgent(agent string) Option { return func(c *Client) { c.agent = agent } }

// WithRetries sets when requests are repeated. Members that are zero keep their default.
func WithRetries(limits Retries) Option { return func(c *Client) { c.retries = limits.or(c.retries) } }
