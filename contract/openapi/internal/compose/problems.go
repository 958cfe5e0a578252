package compose

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/problem"
)

// failures returns the responses with problems, by status, and adds the one that every operation has.
func failures(codes ...problem.Code) openapi.Map[openapi.Response] {
	byStatus := map[int][]problem.Code{}
	for _, code := range append(codes, problem.Internal) {
		status := problem.Describe(code).Status
		byStatus[status] = append(byStatus[status], code)
	}
	var responses openapi.Map[openapi.Response]
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		responses.Set(strconv.Itoa(status), failure(status, byStatus[status]))
	}
	return responses
}

func failure(status int, codes []problem.Code) openapi.Response {
	response := openapi.Response{}
	var titles, names []string
	var examples openapi.Map[openapi.Example]
	for _, code := range codes {
		titles = append(titles, problem.Describe(code).Title)
		names = append(names, string(code))
		examples.Set(string(code), openapi.Example{Ref: "#/components/examples/" + string(code)})
	}
	response.Description = strings.Join(titles, "; ") + "."
	switch status {
	case http.StatusConflict: // a job that is not finished
		response.Headers.Set("Retry-After", retryAfter(false))
	case http.StatusRequestedRangeNotSatisfiable:
		response.Headers.Set("Content-Range", header("The size of the file."))
	case http.StatusServiceUnavailable:
		response.Headers.Set("Retry-After", retryAfter(true))
	}
	if slices.Contains(codes, problem.QueueUnconfirmed) {
		response.Headers.Set("Location", header("The path of the job that may exist, with the code queue-unconfirmed."))
	}
	narrowed := openapi.Schema{Type: "object"}
	narrowed.Properties.Set("status", openapi.Schema{Const: status})
	narrowed.Properties.Set("code", openapi.Schema{Enum: names})
	response.Content.Set(problem.ContentType, openapi.MediaType{
		Schema: &openapi.Schema{AllOf: []openapi.Schema{ref("Problem"), narrowed}}, Examples: examples,
	})
	return response
}

// general returns the responses that belong to no operation.
func general() openapi.Map[openapi.Response] {
	missing := failure(http.StatusNotFound, []problem.Code{problem.RouteNotFound})
	method := failure(http.StatusMethodNotAllowed, []problem.Code{problem.MethodNotAllowed})
	method.Headers.Set("Allow", openapi.Header{Description: "The methods of the path.", Required: true, Schema: text()})
	return openapi.Map[openapi.Response]{{Name: "RouteNotFound", Value: missing}, {Name: "MethodNotAllowed", Value: method}}
}

// problemExamples returns an example of each code of the catalog: the answer to a request or, for a code that no
// response has, the error of a job.
func problemExamples() openapi.Map[openapi.Example] {
	answered := responseCodes()
	catalog := problem.Codes()
	var examples openapi.Map[openapi.Example]
	for _, code := range slices.Sorted(maps.Keys(catalog)) {
		entry := catalog[code]
		example := openapi.Example{Summary: entry.Title}
		if instance, found := answered[code]; found {
			example.Value = answerExample(code, instance)
		} else {
			example.Value = jobapi.Error{Code: string(code), Detail: entry.Title + ".", Remedy: entry.Remedy, Retryable: entry.Retryable}
		}
		examples.Set(string(code), example)
	}
	return examples
}

// responseCodes returns the codes of responses, each with the path of a request that may be answered with it.
func responseCodes() map[problem.Code]string {
	codes := map[problem.Code]string{
		problem.RouteNotFound: "/v2/jobs", problem.MethodNotAllowed: "/v1/formats", problem.Internal: "/v1/jobs",
	}
	for _, o := range operations() {
		for _, code := range o.problems {
			if _, found := codes[code]; !found {
				codes[code] = strings.ReplaceAll(o.path, "{id}", exampleID)
			}
		}
	}
	return codes
}

func answerExample(code problem.Code, instance string) problem.Answer {
	entry := problem.Describe(code)
	answer := problem.Answer{
		Type: problem.Type(code), Title: entry.Title, Status: entry.Status, Detail: entry.Title + ".", Remedy: entry.Remedy,
		Instance: instance, Code: code, TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", Errors: invalidExamples[code],
	}
	switch code {
	case problem.QueueUnconfirmed:
		answer.Job = exampleID
	case problem.JobNotCancelable, problem.JobNotRetryable:
		answer.Detail, answer.JobState = "The job has already succeeded.", succeeded()
	default:
	}
	return answer
}

// invalidExamples have the invalid parts of a request.
var invalidExamples = map[problem.Code][]problem.Field{
	problem.OptionInvalid:    {{Name: "pdf_a", Detail: "must be one of: 1b, 2b, 3b"}, {Name: "color", Detail: "unknown option; see GET /v1/formats"}},
	problem.HeaderInvalid:    {{Name: "Content-Encoding", Detail: "must be omitted: send the document without a content coding"}},
	problem.ParameterInvalid: {{Name: "id", Detail: "must be given 1 to 100 times"}},
	problem.ResultsMissing:   {{Name: exampleID, Detail: "The job is running."}},
	problem.FileMissing:      {{Name: "Content-Disposition", Detail: `must be present, such as attachment; filename="report.docx"`}},
}
