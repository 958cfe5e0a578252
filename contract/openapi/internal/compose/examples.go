package compose

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

const exampleID = "01981c7e-6c1f-7d3a-9d0e-0c6b1c0c7b11"

// jobBody returns the content of a response with a job, with examples that are named after their status.
func jobBody(examples ...jobapi.Job) openapi.Map[openapi.MediaType] {
	schema := ref("Job")
	body := openapi.MediaType{Schema: &schema}
	for _, job := range examples {
		verb := "is"
		if job.Status == jobapi.Succeeded || job.Status == jobapi.Failed {
			verb = "has"
		}
		body.Examples.Set(string(job.Status), openapi.Example{Summary: "A job that " + verb + " " + string(job.Status), Value: job})
	}
	return openapi.Map[openapi.MediaType]{{Name: "application/json", Value: body}}
}

func formExample() openapi.Map[openapi.Example] {
	fields := map[string]any{"to": "pdf", "pages": "1-3", "pdf_a": "2b", "file": "(the bytes of deck.pptx)"}
	return openapi.Map[openapi.Example]{{Name: "archive", Value: openapi.Example{Summary: "The first pages as an archival PDF", Value: fields}}}
}

func queued() jobapi.Job {
	return jobapi.Job{
		ID: exampleID, Status: jobapi.Queued, CreatedAt: at(0),
		Source: jobapi.Source{
			Filename: "deck.pptx", ContentType: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
			Size: 38412, SHA256: strings.Repeat("5f", 32),
		},
		Target: jobapi.Target{Format: format.TargetPDF, Options: map[string]any{"pages": "1-8"}},
		Links:  jobapi.LinksTo(exampleID, jobapi.Queued),

		ExpiresAt: new(at(0).Add(48 * time.Hour)),
	}
}

func running() jobapi.Job {
	job := queued()
	job.Status, job.Attempt, job.StartedAt = jobapi.Running, 1, new(at(100))
	job.Progress = &jobapi.Progress{Phase: "converting", Percent: 44}
	return job
}

func succeeded() jobapi.Job {
	job := running()
	job = ended(job, jobapi.Succeeded)
	job.Result = &jobapi.Result{Filename: "deck.pdf", ContentType: "application/pdf", Size: 15240, SHA256: strings.Repeat("a1", 32), Pages: 8}
	job.Warnings = []jobapi.Warning{{Code: string(problem.FontReplaced), Detail: "Calibri → Docmill Ca", Severity: string(problem.Information)}}
	job.Report = &jobapi.Report{
		Engine: "LibreOffice 7.4.7.2", BlockedLinks: []string{},
		Seconds: jobapi.Seconds{Queued: new(0.1), Fetch: new(0.004), Load: new(0.412), Export: new(0.731), Store: new(0.009)},
		Fonts:   []jobapi.Font{{Name: "Calibri", ReplacedBy: "Docmill Ca", SameMetrics: true}},
	}
	job.Links = jobapi.LinksTo(exampleID, jobapi.Succeeded)
	return job
}

func failed() jobapi.Job {
	job := running()
	job = ended(job, jobapi.Failed)
	entry := problem.Describe(problem.DocumentEmpty)
	job.Error = &jobapi.Error{Code: string(problem.DocumentEmpty), Detail: entry.Title + ".", Remedy: entry.Remedy, Retryable: entry.Retryable}
	job.Report = &jobapi.Report{Engine: "LibreOffice 7.4.7.2", Fonts: []jobapi.Font{}, BlockedLinks: []string{}, Seconds: jobapi.Seconds{Load: new(0.3)}}
	return job
}

func canceled() jobapi.Job { return ended(running(), jobapi.Canceled) }

// retried returns a job that the client has retried after its first attempt.
func retried() jobapi.Job {
	job := queued()
	job.Attempt, job.Generation = 1, 1
	return job
}

// ended returns the job after its end.
func ended(job jobapi.Job, status jobapi.Status) jobapi.Job {
	job.Status, job.FinishedAt, job.ExpiresAt, job.Progress = status, new(at(1400)), new(at(1400).Add(24*time.Hour)), nil
	return job
}

// at returns a time, in milliseconds after the submission of the example.
func at(milliseconds int) time.Time {
	submitted := time.Date(2026, time.November, 20, 10, 0, 0, 0, time.UTC)
	return submitted.Add(time.Duration(milliseconds) * time.Millisecond)
}

// eventsExample returns a stream of events.
func eventsExample() string {
	var stream strings.Builder
	stream.WriteString("retry: 2000\n")
	for i, job := range []jobapi.Job{running(), succeeded()} {
		data, _ := json.Marshal(job) // the values of a job can be encoded
		fmt.Fprintf(&stream, "id: %d\ndata: %s\n\n", i+2, data)
	}
	return stream.String()
}

// deliveriesExample returns a webhook that was accepted at the second attempt.
func deliveriesExample() jobapi.Deliveries {
	return jobapi.Deliveries{Deliveries: []jobapi.Delivery{{
		ID: "msg_" + strings.ReplaceAll(exampleID, "-", "") + "_0", Event: "job.succeeded", Status: jobapi.DeliveryDelivered,
		Receiver: "example.com", CreatedAt: at(1400), Attempts: []jobapi.DeliveryAttempt{
			{StartedAt: at(1410), Seconds: 0.12, StatusCode: 500, Error: "status"},
			{StartedAt: at(6450), Seconds: 0.08, StatusCode: 204},
		},
	}}}
}

// formatsExample returns the first format and the first options.
func formatsExample() jobapi.Formats {
	const some = 4
	example := jobapi.Formats{MaxUploadSize: 512 << 20, Options: option.AllOffered()[:some]}
	for f := range format.All() {
		source := jobapi.SourceFormat{Format: f.ID, Title: f.Title, MediaType: f.MediaType, Family: string(f.Family), Extensions: f.Extensions()}
		var targets []string
		for target := range f.Targets() {
			source.Targets = append(source.Targets, jobapi.TargetFormat{Format: target.ID, Title: target.Title, MediaType: target.MediaType})
			targets = append(targets, target.ID)
		}
		example.Formats = append(example.Formats, source)
		example.Options[0] = option.Offered(targets, false)[0]
		break
	}
	return example
}
