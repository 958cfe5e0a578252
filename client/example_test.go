package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docmill/docmill/client"
)

// TestMain skips the examples without a Docmill for them. devstack/acceptance runs them against one.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("DOCMILL_URL") == "" {
		_ = flag.Set("test.skip", "^Example")
	}
	os.Exit(m.Run())
}

func Example() {
	ctx := context.Background()
	docmill := client.New(os.Getenv("DOCMILL_URL"))
	job, err := docmill.SubmitFile(ctx, "../testdata/synth-three-pages.docx")
	if err == nil {
		job, err = docmill.Wait(ctx, job)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, _ := os.MkdirTemp("", "example-")
	defer os.RemoveAll(dir)
	if err := docmill.DownloadFile(ctx, job, filepath.Join(dir, job.Result.Filename)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Result.Filename, job.Result.Pages, "pages")
	// Output: synth-three-pages.pdf 3 pages
}

// A document from any reader, converted to text.
func ExampleClient_Submit() {
	ctx := context.Background()
	docmill := client.New(os.Getenv("DOCMILL_URL"))
	letter := strings.NewReader("Dear reader,")
	job, err := docmill.Submit(ctx, "letter.txt", letter, letter.Size(),
		client.WithOptions(map[string]string{"to": "txt", "tag": "example"}),
		client.WithProgress(func(sent, total int64) { fmt.Println("sent", sent, "of", total, "bytes") }))
	if err == nil {
		job, err = docmill.Wait(ctx, job)
	}
	var text strings.Builder
	if err == nil {
		err = docmill.Download(ctx, job, &text)
	}
	fmt.Println(job.Tag, strings.TrimSpace(text.String()), err)
	// Output:
	// sent 12 of 12 bytes
	// example Dear reader, <nil>
}

func ExampleClient_Events() {
	ctx := context.Background()
	docmill := client.New(os.Getenv("DOCMILL_URL"))
	job, err := docmill.SubmitFile(ctx, "../testdata/synth-letter.odt")
	if err != nil {
		fmt.Println(err)
		return
	}
	for state, err := range docmill.Events(ctx, job.ID) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if state.Ended() {
			fmt.Println(state.Status, state.Err())
		}
	}
	// Output: succeeded <nil>
}

// A job that is canceled, converted after all, and deleted with its files.
func ExampleClient_Retry() {
	ctx := context.Background()
	docmill := client.New(os.Getenv("DOCMILL_URL"))
	job, err := docmill.SubmitFile(ctx, "../testdata/odftoolkit__Presentation7.odp") // takes seconds
	if err == nil {
		job, err = docmill.Cancel(ctx, job.ID)
	}
	fmt.Println(job.Status, err)

	job, err = docmill.Retry(ctx, job.ID)
	if err == nil {
		job, err = docmill.Wait(ctx, job)
	}
	fmt.Println(job.Status, "in generation", job.Generation, err)

	_ = docmill.Delete(ctx, job.ID)
	_, err = docmill.Job(ctx, job.ID)
	fmt.Println(client.IsCode(err, client.CodeJobDeleted))
	// Output:
	// canceled <nil>
	// succeeded in generation 1 <nil>
	// true
}

// The webhooks about a job, if it has a callback_url.
func ExampleClient_Deliveries() {
	ctx := context.Background()
	docmill := client.New(os.Getenv("DOCMILL_URL"))
	job, err := docmill.SubmitFile(ctx, "../testdata/synth-letter.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	deliveries, err := docmill.Deliveries(ctx, job.ID)
	for _, delivery := range deliveries {
		fmt.Println(delivery.Event, delivery.Status, len(delivery.Attempts), "attempts")
	}
	fmt.Println(len(deliveries), "webhooks", err)
	// Output: 0 webhooks <nil>
}

// Errors have codes for programs, and a detail and a remedy for people.
func ExampleIsCode() {
	ctx := context.Background()
	docmill := client.New(os.Getenv("DOCMILL_URL"))
	const protected = "../testdata/gotenberg__protected_page_1.docx"
	_, err := docmill.SubmitFile(ctx, protected)
	fmt.Println(client.IsCode(err, client.CodePasswordRequired))
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(problem.Status, problem.Title)
	}

	job, err := docmill.SubmitFile(ctx, protected, client.WithOptions(map[string]string{"password": "wrong"}))
	if err == nil {
		_, err = docmill.Wait(ctx, job)
	}
	fmt.Println(client.IsCode(err, client.CodePasswordWrong))

	_, err = docmill.SubmitFile(ctx, protected, client.WithOptions(map[string]string{"password": "foo"}))
	fmt.Println(err)
	// Output:
	// true
	// 422 The document requires a password
	// true
	// <nil>
}
