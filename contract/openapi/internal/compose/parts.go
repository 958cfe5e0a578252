package compose

import (
	"slices"
	"strings"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/openapi"
)

func text() openapi.Schema { return openapi.Schema{Type: "string"} }

func header(description string) openapi.Header {
	return openapi.Header{Description: description, Schema: text()}
}

func entityTag() openapi.Header {
	return openapi.Header{Description: "Identifies this version.", Required: true, Schema: text()}
}

func retryAfter(always bool) openapi.Header {
	return openapi.Header{Description: "Seconds to wait before the next request.", Required: always, Schema: openapi.Schema{Type: "integer"}}
}

func withHeader(headers openapi.Map[openapi.Header], name string, more openapi.Header) openapi.Map[openapi.Header] {
	all := slices.Clone(headers)
	all.Set(name, more)
	return all
}

func id() openapi.Parameter {
	return openapi.Parameter{
		Name: "id", In: "path", Required: true, Description: "The id of the job.",
		Schema: openapi.Schema{Type: "string", Format: "uuid"}, Example: exampleID,
	}
}

func ifNoneMatch() openapi.Parameter {
	return openapi.Parameter{Name: "If-None-Match", In: "header", Schema: text(), Description: "The entity tags of the versions that the client has."}
}

func preferWait(until string) openapi.Parameter {
	return openapi.Parameter{
		Name: "Prefer", In: "header", Schema: text(), Example: "wait=20",
		Description: "wait=N holds the answer " + until + ", for at most N seconds (up to 60).",
	}
}

// cached adds what operations whose answer rarely changes have in common.
func cached(get openapi.Operation, body openapi.Map[openapi.MediaType]) openapi.Operation {
	headers := openapi.Map[openapi.Header]{
		{Name: "ETag", Value: entityTag()},
		{Name: "Cache-Control", Value: header("To be revalidated each time.")},
	}
	get.Parameters = []openapi.Parameter{ifNoneMatch()}
	get.Responses.Set("200", openapi.Response{Description: get.Summary + ".", Headers: headers, Content: body})
	get.Responses.Set("304", openapi.Response{Description: "The client has this version.", Headers: headers})
	return get
}

// jsonBody returns the content of a body in JSON with a schema and an example.
func jsonBody(schema openapi.Schema, name string, example openapi.Example) openapi.Map[openapi.MediaType] {
	return openapi.Map[openapi.MediaType]{{Name: "application/json", Value: openapi.MediaType{
		Schema: &schema, Examples: openapi.Map[openapi.Example]{{Name: name, Value: example}},
	}}}
}

// resultBody returns the media types of results, which have no schema.
func resultBody() openapi.Map[openapi.MediaType] {
	var content openapi.Map[openapi.MediaType]
	add := func(target format.Target) {
		mediaType, _, _ := strings.Cut(target.MediaType, ";")
		content.Set(mediaType, openapi.MediaType{})
	}
	for target := range format.AllTargets() {
		add(target)
	}
	add(format.Archive())
	return content
}
