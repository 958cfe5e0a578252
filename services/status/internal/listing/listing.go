// Package listing reads the parameters of GET /v1/jobs, and makes the tokens of its pages.
package listing

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
)

// Parse returns the selection that a query requests. Its error is a problem that names all invalid parameters.
func Parse(rawQuery string) (jobstore.Selection, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil { // the filter that it belongs to must not be ignored
		return jobstore.Selection{}, problem.New(problem.ParameterInvalid, "The query cannot be parsed: a parameter is not percent-encoded correctly.").Because(err)
	}
	p := parser{query: query}
	selection := jobstore.Selection{
		Filter: jobstore.Filter{
			Statuses: p.statuses(), Tag: p.tag(), CreatedAfter: p.time("created_after"), CreatedBefore: p.time("created_before"),
		},
		Limit: p.size(),
	}
	if token, given := p.one("page_token"); given {
		selection.Before, err = readToken(token, selection.Filter)
		p.require(err == nil, "page_token", "must be the next_page_token of a page with the same status, tag, created_after and created_before")
	}
	p.requireKnown()
	if len(p.faults) > 0 {
		return jobstore.Selection{}, problem.New(problem.ParameterInvalid, "The list cannot be returned.").With(p.faults...)
	}
	return selection, nil
}

// parser reads parameters and collects the invalid ones.
type parser struct {
	query  url.Values
	faults []problem.Field
}

func (p *parser) require(ok bool, name, detail string) {
	if !ok {
		p.faults = append(p.faults, problem.Field{Name: name, Detail: detail})
	}
}

// one returns the value of a parameter that may be given once. An empty value counts as not given.
func (p *parser) one(name string) (value string, given bool) {
	values := p.query[name]
	p.require(len(values) <= 1, name, "must not be repeated")
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

func (p *parser) statuses() []job.Status {
	var statuses []job.Status
	for _, value := range p.query["status"] {
		status := job.Status(value)
		if status == "" {
			continue // as no parameter
		}
		if !slices.Contains(jobstore.Statuses(), status) {
			p.require(false, "status", "must be one of: "+names())
			return nil
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// names returns the statuses, separated by commas.
func names() string {
	var list []string
	for _, status := range jobstore.Statuses() {
		list = append(list, string(status))
	}
	return strings.Join(list, ", ")
}

func (p *parser) tag() string {
	tag, _ := p.one("tag")
	valid := utf8.ValidString(tag) && utf8.RuneCountInString(tag) <= option.MaxTag && !strings.ContainsRune(tag, 0)
	p.require(valid, "tag", fmt.Sprintf("must be up to %d characters of UTF-8", option.MaxTag))
	return tag
}

func (p *parser) time(name string) time.Time {
	value, given := p.one(name)
	if !given {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, value)
	p.require(err == nil, name, "must be a time such as 2026-11-20T10:00:00Z")
	return t
}

func (p *parser) size() int {
	value, given := p.one("page_size")
	if !given {
		return jobapi.DefaultPageSize
	}
	size, err := strconv.Atoi(value)
	p.require(err == nil && size >= 1 && size <= jobapi.MaxPageSize, "page_size", fmt.Sprintf("must be 1 to %d", jobapi.MaxPageSize))
	return size
}

// requireKnown rejects unknown parameters: a misspelled filter would list all jobs.
func (p *parser) requireKnown() {
	const maxNamed = 5 // of the unknown parameters; a client can send thousands
	known := []string{"status", "tag", "created_after", "created_before", "page_size", "page_token"}
	named := 0
	for _, name := range slices.Sorted(maps.Keys(p.query)) {
		if !slices.Contains(known, name) && named < maxNamed {
			named++
			p.require(false, problem.Excerpt(name), "unknown parameter; known parameters: "+strings.Join(known, ", "))
		}
	}
}
