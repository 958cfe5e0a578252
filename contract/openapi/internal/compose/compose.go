// Package compose makes the OpenAPI document of package openapi from the code: the operations that are listed here, the
// types of the API's JSON with their comments, the table of options, the table of formats and the catalog of problems.
package compose

import (
	"fmt"
	"path/filepath"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/problem"
)

// Groups of operations.
const (
	jobs   = "Jobs"
	lookup = "Reference"
)

const introduction = `Converts documents to PDF and other formats. Submit a document, wait until its job has ended, then fetch the result.

JSON members are in snake_case, times are RFC 3339 in UTC, sizes are in bytes. Every answer other than 2xx and 304 is an application/problem+json (RFC 9457); programs should branch on its code. A path that does not exist is answered with route-not-found, a method that a path does not have with method-not-allowed. Later versions may add members, codes, options and formats.`

// Document composes the document. It reads the comments of the types from their sources in the directory of the module
// contract.
func Document(contract string) (openapi.Document, error) {
	var directories []string
	for _, name := range []string{"jobapi", "problem", "option", "format"} {
		directories = append(directories, filepath.Join(contract, name))
	}
	sources, err := readSources(directories...)
	if err != nil {
		return openapi.Document{}, fmt.Errorf("read the comments of the types: %w", err)
	}
	schemas := newSchemas(sources)
	for _, body := range []any{jobapi.Job{}, jobapi.JobList{}, jobapi.Stats{}, jobapi.Formats{}, jobapi.Deliveries{}, problem.Answer{}} {
		schemas.of(body)
	}
	return openapi.Document{
		OpenAPI: "3.1.0",
		Info:    openapi.Info{Title: "Docmill", Version: "1.0.0", Description: introduction},
		Servers: []openapi.Server{{URL: "/"}},
		Tags: []openapi.Tag{
			{Name: jobs, Description: "Submit documents and fetch their results."},
			{Name: lookup, Description: "What Docmill can do, and how to ask for it."},
		},
		Paths: paths(),
		Components: openapi.Components{
			Schemas:   schemas.components,
			Responses: general(),
			Examples:  problemExamples(),
		},
	}, nil
}
