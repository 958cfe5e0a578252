// Package page is the web page for people who convert documents in a browser. It is plain HTML, CSS and JavaScript
// without a build step, a client of the public API like any other, and loads nothing from other hosts.
package page

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"mime"
	"path"
	"slices"

	"github.com/docmill/docmill/contract/problem"
)

var (
	//go:embed index.html
	layout string
	//go:embed assets
	assets embed.FS
)

// policy is the Content-Security-Policy of all files. The page has no inline scripts or styles, and with Trusted Types
// the browser refuses any script that would parse text as HTML: file names and messages come from strangers.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Page is the page and what it loads.
type Page struct {
	Files []File
	// Policy is the Content-Security-Policy to send with each file.
	Policy string
}

// File is a file of the page.
type File struct {
	// Paths are where it is served; they may have gin's parameters.
	Paths       []string
	ContentType string
	Content     []byte
}

// Render returns the page.
func Render() (Page, error) {
	index, err := template.New("page").Parse(layout)
	if err != nil {
		return Page{}, fmt.Errorf("parse the web page: %w", err)
	}
	var html bytes.Buffer
	if err := index.Execute(&html, texts()); err != nil {
		return Page{}, fmt.Errorf("render the web page: %w", err)
	}
	page := Page{Policy: policy, Files: []File{
		{Paths: []string{"/", "/jobs/:id"}, ContentType: "text/html; charset=utf-8", Content: html.Bytes()},
	}}
	entries, err := assets.ReadDir("assets")
	if err != nil {
		return Page{}, fmt.Errorf("list the files of the web page: %w", err)
	}
	for _, entry := range entries {
		content, err := assets.ReadFile("assets/" + entry.Name())
		if err != nil {
			return Page{}, fmt.Errorf("read a file of the web page: %w", err)
		}
		page.Files = append(page.Files, File{Paths: []string{"/assets/" + entry.Name()}, ContentType: contentType(entry.Name()), Content: content})
	}
	return page, nil
}

// contentType returns the media type of an asset. The tables of the operating system could have others.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(path.Ext(name))
	}
}

// text is what the page says about a code.
type text struct {
	Code          problem.Code
	Title, Remedy string
}

// texts returns the texts that answers of the API do not contain: those of warnings, those of problems that the page
// finds itself, and remedies for people who do not know the API.
func texts() []text {
	var all []text
	forPeople := map[problem.Code]string{
		problem.LinksBlocked: "Embed them in the document. The page of the conversion lists them.",
		problem.SlidesHidden: "Unhide them in the presentation, or choose the option “Hidden slides”.",
	}
	for code, warning := range problem.Warnings() {
		all = append(all, text{code, warning.Title, cmp.Or(forPeople[code], warning.Remedy)})
	}
	for code, remedy := range map[problem.Code]string{
		problem.FileTooLarge:         problem.Remedy(problem.FileTooLarge),
		problem.FileEmpty:            "Choose another document.",
		problem.FileNameInvalid:      "Give the file a shorter name without special characters.",
		problem.FileUnrecognized:     "Choose a document in one of the supported formats.",
		problem.FormatUnsupported:    "Choose another format to convert to.",
		problem.OptionInvalid:        "Correct these options and convert the document again.",
		problem.PagesNotFound:        "Enter pages that exist, or leave the option “Pages” empty.",
		problem.IdempotencyKeyReused: "The document has changed. Choose it again.",
		problem.JobNotFound:          "Check the address, or convert the document again.",
		problem.JobNotRetryable:      "Choose the document again to convert it.",
		problem.JobDeleted:           "Convert the document again if you still need it.",
		problem.JobExpired:           "Convert the document again. Download results before they are deleted.",
		problem.PasswordRequired:     "Convert the document again with the password that opens it.",
		problem.PasswordWrong:        "Check the password and convert the document again.",
		problem.Busy:                 "Try again in a few seconds.",
		problem.QueueUnavailable:     "Try again later.",
		problem.QueueUnconfirmed:     "Try again. The document is converted only once.",
		problem.StoreUnavailable:     "Try again later.",
		problem.StatusUnavailable:    "Try again later. Accepted documents are converted meanwhile.",
		problem.Internal:             "Try again. If the error persists, report the trace ID.",
		problem.SourceMissing:        "Convert the document again.",
		problem.AttemptsExhausted:    "Convert the document again later.",
		problem.Canceled:             "Convert the document again if you still need it.",
	} {
		all = append(all, text{code, problem.Describe(code).Title, remedy})
	}
	slices.SortFunc(all, func(a, b text) int { return cmp.Compare(a.Code, b.Code) })
	return all
}
