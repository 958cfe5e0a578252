package compose

import (
	"net/http"
	"strings"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/problem"
)

const (
	idempotentReplayed = "Idempotent-Replayed"
	statusGone         = "410"
)

// operation is an operation of the API. Its failures are made of its problems.
type operation struct {
	path string
	// method is http.MethodPost or http.MethodDelete; the others are GET.
	method string
	// head is set if the operation also exists for HEAD.
	head     bool
	problems []problem.Code
	// gone are the headers of responses with the status 410.
	gone      openapi.Map[openapi.Header]
	described openapi.Operation
}

// operations are all operations, in the order in which people use them.
func operations() []operation {
	return []operation{
		submitJob(), listJobs(), getJob(), streamEvents(), getResult(), getResults(), cancelJob(), retryJob(), deleteJob(), listDeliveries(),
		getStats(), listFormats(), getDocument(), getReference(),
	}
}

func paths() openapi.Map[openapi.PathItem] {
	var paths openapi.Map[openapi.PathItem]
	for _, o := range operations() {
		described := o.described
		failed := failures(o.problems...)
		if gone, found := failed.Get(statusGone); found {
			gone.Headers = append(gone.Headers, o.gone...)
			failed.Set(statusGone, gone)
		}
		described.Responses = append(described.Responses, failed...)
		item, _ := paths.Get(o.path)
		switch o.method {
		case http.MethodPost:
			item.Post = &described
		case http.MethodDelete:
			item.Delete = &described
		default:
			item.Get = &described
		}
		if o.head {
			item.Head = headOf(described)
		}
		paths.Set(o.path, item)
	}
	return paths
}

// headOf returns the operation for HEAD: the same without bodies.
func headOf(get openapi.Operation) *openapi.Operation {
	head := get
	head.OperationID = "head" + strings.TrimPrefix(get.OperationID, "get")
	head.Description = "The same headers as for GET, without a body."
	head.Responses = nil
	for _, response := range get.Responses {
		response.Value.Content = nil
		head.Responses.Set(response.Name, response.Value)
	}
	return &head
}

func submitJob() operation {
	submit := openapi.Operation{
		OperationID: "submitJob", Tags: []string{jobs}, Summary: "Submit a document",
		Description: "The document is streamed, and checked before a job is queued. Once it is accepted, the job is durable. Options are form fields, or query parameters; passwords are accepted only as form fields.",
		Parameters: append([]openapi.Parameter{
			{
				Name: "Content-Disposition", In: "header", Schema: text(), Example: `attachment; filename="deck.pptx"`,
				Description: "The name of the document (filename or filename*), required unless the request is a form.",
			},
			{
				Name: "Idempotency-Key", In: "header", Schema: text(), Example: `"8e03978e-40d5-43e8-bc93-6894a57f9324"`,
				Description: "A key of your choice: 1 to 255 printable ASCII characters, with or without quotes. Repeating a submission with the same key returns the job of the first one. The key is remembered as long as the job.",
			},
			preferWait("until the job has ended"),
		}, optionParameters()...),
		RequestBody: &openapi.RequestBody{
			Required: true, Description: "A form with the options first and the document last, or the document itself.",
			Content: openapi.Map[openapi.MediaType]{
				{Name: "multipart/form-data", Value: openapi.MediaType{Schema: form(), Examples: formExample()}},
				{Name: "*/*", Value: openapi.MediaType{Schema: &openapi.Schema{Description: "The bytes of the document."}}},
			},
		},
	}
	replayed := header("true if an earlier submission with the same Idempotency-Key has created the job; otherwise omitted.")
	accepted := openapi.Map[openapi.Header]{
		{Name: "Location", Value: openapi.Header{Description: "The path of the job.", Required: true, Schema: text()}},
		{Name: "Cache-Control", Value: header("Not to be stored.")},
		{Name: "Preference-Applied", Value: header("The wait that was granted.")},
		{Name: idempotentReplayed, Value: replayed},
	}
	finished := openapi.Response{Description: "The job has ended within the time of Prefer: wait.", Headers: accepted, Content: jobBody(succeeded(), failed())}
	queued := openapi.Response{
		Description: "The document was accepted. Retry-After is present unless the job has already ended. It may have ended if an earlier submission with the same Idempotency-Key has created it, or if it has the result of an earlier job.",
		Headers:     withHeader(accepted, "Retry-After", retryAfter(false)), Content: jobBody(queued(), succeeded()),
	}
	submit.Responses.Set("200", finished)
	submit.Responses.Set("202", queued)
	gone := openapi.Map[openapi.Header]{{Name: idempotentReplayed, Value: replayed}}
	return operation{path: "/v1/jobs", method: http.MethodPost, described: submit, gone: gone, problems: []problem.Code{
		problem.FileEmpty, problem.FileMissing, problem.FileRepeated, problem.FileNameInvalid, problem.FormInvalid,
		problem.HeaderInvalid, problem.OptionInvalid, problem.UploadInterrupted, problem.UploadTooSlow, problem.FileTooLarge,
		problem.FileTypeContradicted, problem.FileUnrecognized, problem.FormatUnsupported,
		problem.PasswordRequired, problem.DocumentMalformed, problem.DocumentTooComplex,
		problem.Busy, problem.StoreUnavailable, problem.QueueUnavailable, problem.QueueUnconfirmed,
		problem.IdempotencyKeyReused, problem.JobDeleted, problem.JobExpired, problem.StatusUnavailable,
	}}
}

func getJob() operation {
	get := openapi.Operation{
		OperationID: "getJob", Tags: []string{jobs}, Summary: "The state of a job",
		Description: "The answer is 200 for every known job, including failed ones, whose reason is in error.",
		Parameters:  []openapi.Parameter{id(), ifNoneMatch(), preferWait("until the state changes")},
	}
	headers := openapi.Map[openapi.Header]{
		{Name: "ETag", Value: entityTag()},
		{Name: "Cache-Control", Value: header("To be revalidated each time.")},
		{Name: "Retry-After", Value: retryAfter(false)},
		{Name: "Preference-Applied", Value: header("The wait that was granted.")},
	}
	get.Responses.Set("200", openapi.Response{
		Description: "The job. Retry-After is present until it has ended.", Headers: headers,
		Content: jobBody(queued(), running(), succeeded(), failed()),
	})
	get.Responses.Set("304", openapi.Response{Description: "The job has not changed.", Headers: headers})
	return operation{path: "/v1/jobs/{id}", head: true, described: get, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.StatusUnavailable,
	}}
}

func streamEvents() operation {
	events := openapi.Operation{
		OperationID: "streamJobEvents", Tags: []string{jobs}, Summary: "The changes of a job as server-sent events",
		Description: "Sends the job's state, unless the client has it already, then each change until the job has ended. The data of an event is a Job; its id is the version of the job.",
		Parameters: []openapi.Parameter{id(), {
			Name: "Last-Event-ID", In: "header", Schema: text(), Description: "The version that the client has. An EventSource sends it when it connects again.", Example: "3",
		}},
	}
	events.Responses.Set("200", openapi.Response{
		Description: "The stream.",
		Headers:     openapi.Map[openapi.Header]{{Name: "Cache-Control", Value: header("Not to be stored.")}},
		Content: openapi.Map[openapi.MediaType]{{Name: "text/event-stream", Value: openapi.MediaType{
			Schema:   &openapi.Schema{Type: "string"},
			Examples: openapi.Map[openapi.Example]{{Name: "events", Value: openapi.Example{Summary: "A job that succeeds", Value: eventsExample()}}},
		}}},
	})
	events.Responses.Set("204", openapi.Response{Description: "The job has ended, and the client has its last state. An EventSource then stops."})
	return operation{path: "/v1/jobs/{id}/events", described: events, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.StatusUnavailable,
	}}
}

func getResult() operation {
	result := openapi.Operation{
		OperationID: "getResult", Tags: []string{jobs}, Summary: "The converted file",
		Parameters: []openapi.Parameter{
			id(), ifNoneMatch(),
			{Name: "If-Match", In: "header", Schema: text(), Description: "Entity tags, one of which the result must have."},
			{Name: "Range", In: "header", Schema: text(), Description: "The part of the file to send.", Example: "bytes=0-1023"},
			{Name: "If-Range", In: "header", Schema: text(), Description: "The entity tag that the result must have for a part to be sent."},
		},
	}
	headers := openapi.Map[openapi.Header]{
		{Name: "ETag", Value: entityTag()},
		{Name: "Content-Disposition", Value: header("The name of the document with the new extension, in ASCII and in UTF-8.")},
		{Name: "Repr-Digest", Value: header("The SHA-256 of the whole file (RFC 9530).")},
		{Name: "Accept-Ranges", Value: header("Always bytes.")},
		{Name: "Cache-Control", Value: header("To be revalidated each time.")},
	}
	span := openapi.Header{Description: "The part that is sent, and the size of the whole file.", Required: true, Schema: text()}
	result.Responses.Set("200", openapi.Response{Description: "The file.", Headers: headers, Content: resultBody()})
	result.Responses.Set("206", openapi.Response{
		Description: "A part of the file.", Headers: withHeader(headers, "Content-Range", span), Content: resultBody(),
	})
	result.Responses.Set("304", openapi.Response{Description: "The client has the file.", Headers: openapi.Map[openapi.Header]{{Name: "ETag", Value: entityTag()}}})
	return operation{path: "/v1/jobs/{id}/result", head: true, described: result, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.JobNotFinished, problem.JobFailed, problem.PreconditionFailed, problem.RangeInvalid,
		problem.StatusUnavailable, problem.StoreUnavailable,
	}}
}

func getResults() operation {
	results := openapi.Operation{
		OperationID: "getResults", Tags: []string{jobs}, Summary: "The converted files of several jobs, in one zip archive",
		Description: "The files are named as in their jobs; files with the same name are numbered. If a file cannot be read in the middle, the connection is broken, so that an incomplete archive is not taken for a complete one.",
		Parameters: []openapi.Parameter{{
			Name: "id", In: "query", Required: true, Example: []string{exampleID},
			Description: "The id of a job that has succeeded. Repeat the parameter for each job.",
			Schema:      openapi.Schema{Type: "array", MinItems: 1, MaxItems: jobapi.MaxArchived, Items: &openapi.Schema{Type: "string", Format: "uuid"}},
		}},
	}
	results.Responses.Set("200", openapi.Response{
		Description: "The archive. Its length is not known in advance.",
		Headers: openapi.Map[openapi.Header]{
			{Name: "Content-Disposition", Value: header("The name of the archive.")},
			{Name: "Cache-Control", Value: header("Not to be stored.")},
		},
		Content: openapi.Map[openapi.MediaType]{{Name: "application/zip", Value: openapi.MediaType{}}},
	})
	return operation{path: "/v1/results.zip", described: results, problems: []problem.Code{
		problem.ParameterInvalid, problem.ResultsMissing, problem.Busy, problem.StatusUnavailable, problem.StoreUnavailable,
	}}
}

func cancelJob() operation {
	cancel := openapi.Operation{
		OperationID: "cancelJob", Tags: []string{jobs}, Summary: "Cancel a job",
		Description: "A queued job does not start, and a running conversion is stopped. The request can be repeated safely. The document is kept for a while, so the job can be retried.",
		Parameters:  []openapi.Parameter{id()},
	}
	cancel.Responses.Set("200", openapi.Response{Description: "The canceled job.", Headers: changedHeaders(), Content: jobBody(canceled())})
	return operation{path: "/v1/jobs/{id}/cancel", method: http.MethodPost, described: cancel, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.JobNotCancelable, problem.Busy, problem.StatusUnavailable, problem.StoreUnavailable,
	}}
}

func retryJob() operation {
	retry := openapi.Operation{
		OperationID: "retryJob", Tags: []string{jobs}, Summary: "Retry a failed or canceled job",
		Description: "The job is queued again, with the same document and options. This is possible until the document is deleted, at most 20 times. If the job was retried before and has not ended since, the request changes nothing.",
		Parameters:  []openapi.Parameter{id()},
	}
	retry.Responses.Set("202", openapi.Response{Description: "The job is queued.", Headers: changedHeaders(), Content: jobBody(retried())})
	return operation{path: "/v1/jobs/{id}/retry", method: http.MethodPost, described: retry, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.JobNotFinished, problem.JobNotRetryable,
		problem.Busy, problem.QueueUnavailable, problem.StatusUnavailable, problem.StoreUnavailable,
	}}
}

func changedHeaders() openapi.Map[openapi.Header] {
	return openapi.Map[openapi.Header]{
		{Name: "ETag", Value: entityTag()},
		{Name: "Cache-Control", Value: header("Not to be stored.")},
		{Name: "Retry-After", Value: retryAfter(false)},
	}
}

func deleteJob() operation {
	remove := openapi.Operation{
		OperationID: "deleteJob", Tags: []string{jobs}, Summary: "Delete a job and its files",
		Description: "If the job has not ended, it is canceled. Its files are deleted within seconds. Later requests for the job return job-deleted.",
		Parameters:  []openapi.Parameter{id()},
	}
	remove.Responses.Set("204", openapi.Response{Description: "The job was deleted."})
	return operation{path: "/v1/jobs/{id}", method: http.MethodDelete, described: remove, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.Busy, problem.StatusUnavailable, problem.StoreUnavailable,
	}}
}

func listDeliveries() operation {
	deliveries := openapi.Operation{
		OperationID: "getDeliveries", Tags: []string{jobs}, Summary: "The webhooks about a job",
		Description: "Lists the webhooks to the job's callback_url with their delivery attempts, until the operator's webhook-retention is over.",
		Parameters:  []openapi.Parameter{id()},
	}
	deliveries.Responses.Set("200", openapi.Response{
		Description: "The webhooks. There are none if the job has no callback_url, or has not ended.",
		Headers:     openapi.Map[openapi.Header]{{Name: "Cache-Control", Value: header("Not to be stored.")}},
		Content:     jsonBody(ref("Deliveries"), "deliveries", openapi.Example{Summary: "A webhook that was accepted at the second attempt", Value: deliveriesExample()}),
	})
	return operation{path: "/v1/jobs/{id}/deliveries", described: deliveries, problems: []problem.Code{
		problem.JobNotFound, problem.JobDeleted, problem.JobExpired, problem.StatusUnavailable,
	}}
}

func listFormats() operation {
	formats := openapi.Operation{
		OperationID: "getFormats", Tags: []string{lookup}, Summary: "Supported formats and options",
		Description: "Lists which document can be converted into which target, and the options with their values.",
	}
	body := jsonBody(ref("Formats"), "formats", openapi.Example{Summary: "One of the formats and some options", Value: formatsExample()})
	return operation{path: "/v1/formats", head: true, described: cached(formats, body)}
}

func getDocument() operation {
	document := openapi.Operation{OperationID: "getOpenAPI", Tags: []string{lookup}, Summary: "This description of the API"}
	body := openapi.Map[openapi.MediaType]{{Name: "application/json", Value: openapi.MediaType{Schema: &openapi.Schema{Type: "object"}}}}
	return operation{path: "/v1/openapi.json", head: true, described: cached(document, body)}
}

func getReference() operation {
	page := openapi.Operation{OperationID: "getReference", Tags: []string{lookup}, Summary: "This description as a page for people"}
	body := openapi.Map[openapi.MediaType]{{Name: "text/html", Value: openapi.MediaType{Schema: &openapi.Schema{Type: "string"}}}}
	return operation{path: "/docs", head: true, described: cached(page, body)}
}
