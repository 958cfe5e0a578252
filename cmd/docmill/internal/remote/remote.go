// Package remote is how the commands reach a Docmill server, and how they explain errors.
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

// DefaultServer is where `docmill serve` listens by default.
const DefaultServer = "http://127.0.0.1:8080"

// idleConnections is how many connections are kept: with the default of 2, most requests would open a new one.
const idleConnections = 64

// New returns a client of the server at a URL, whose scheme may be missing. The URL may contain a user name and a
// password for a proxy in front of the server; it should then come from DOCMILL_SERVER or a file with settings, because
// every user of a machine can read the command lines of others.
func New(server string, options ...client.Option) (*client.Client, error) {
	base, err := parse(server)
	if err != nil {
		return nil, err
	}
	transport, _ := http.DefaultTransport.(*http.Transport)
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = idleConnections
	return client.New(base, append(options, client.WithHTTPClient(&http.Client{Transport: transport}), client.WithUserAgent("docmill"))...), nil
}

func parse(server string) (string, error) {
	server = withScheme(server)
	parsed, err := url.Parse(server)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return "", invocation.Errorf(invocation.Usage, "setting server: %q is not a URL such as https://docmill.example.com", Redacted(server))
	}
	return server, nil
}

func withScheme(server string) string {
	if strings.Contains(server, "://") {
		return server
	}
	return "http://" + server
}

// reachTimeout is how long a server may take to answer a first, cheap question.
const reachTimeout = 15 * time.Second

// Reach returns what the server converts. Its error says that the server cannot be used, and ends a command.
func Reach(ctx context.Context, server string) (client.Formats, error) {
	patient, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	probe, err := New(server, client.WithRetries(client.Retries{Tries: 2}))
	if err != nil {
		return client.Formats{}, err
	}
	formats, err := probe.Formats(patient)
	if err == nil && len(formats.Formats) == 0 {
		err = errors.New("the answer to /v1/formats lists none")
	}
	if err != nil {
		return formats, &invocation.Error{Code: invocation.Unavailable, Err: &unusable{server, plain(err)}}
	}
	return formats, nil
}

// Redacted returns the URL of a server without its password.
func Redacted(server string) string {
	parsed, err := url.Parse(withScheme(server))
	if err == nil && parsed.User == nil {
		return server
	}
	if err == nil {
		return parsed.Redacted()
	}
	if at := strings.LastIndex(server, "@"); at >= 0 { // what is wrong may be the password
		return "…" + server[at:]
	}
	return server
}

// plain returns an error of the network without the method and the URL.
func plain(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// Fault is what went wrong, for people and programs.
type Fault struct {
	// Code is that of the API's catalog, or one of this program's own.
	Code client.Code `json:"code"`
	// Detail says what failed and why, Remedy what to do about it.
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// Codes of failures outside the API.
const (
	// CodeUnreadable means that the document cannot be read.
	CodeUnreadable client.Code = "document-unreadable"
	// CodeExists means that the file for the result exists.
	CodeExists client.Code = "result-exists"
	// CodeUnwritable means that the result cannot be written.
	CodeUnwritable client.Code = "result-unwritable"
	// CodeNetwork means that the server did not answer, or not as a Docmill.
	CodeNetwork client.Code = "server-unreachable"
	// CodeStopped means that the command was stopped.
	CodeStopped client.Code = "stopped"
)

// Error makes a fault an error.
func (f *Fault) Error() string { return sentences(f.Detail, f.Remedy) }

// Explain returns the fault that an error means.
func Explain(err error) *Fault {
	if known, ok := errors.AsType[*Fault](err); ok {
		return known
	}
	if stop, ok := errors.AsType[*invocation.Interrupt](err); ok {
		return &Fault{CodeStopped, capital(stop.Error()) + ".", ""}
	}
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code != "" {
		return &Fault{problem.Code, detail(problem), remedy(problem.Code, problem.Remedy)}
	}
	if failure, ok := errors.AsType[*client.JobError](err); ok {
		return &Fault{failure.Code, failure.Detail, remedy(failure.Code, failure.Remedy)}
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return &Fault{CodeUnreadable, "It cannot be read: " + file.Err.Error() + ".", ""}
	}
	if !isNetwork(err) {
		return &Fault{client.CodeInternal, capital(err.Error()) + ".", ""}
	}
	return &Fault{CodeNetwork, fmt.Sprintf("The server cannot be used: %v.", plain(err)), "Try again when it is back; docmill doctor --server=URL tells more."}
}

// isNetwork reports whether the server did not answer, or not as a Docmill.
func isNetwork(err error) bool {
	_, request := errors.AsType[*url.Error](err)
	_, network := errors.AsType[net.Error](err)
	_, foreign := errors.AsType[*client.Problem](err)
	return request || network || foreign || errors.Is(err, io.ErrUnexpectedEOF)
}

// detail returns what is wrong with a request, including each of its options.
func detail(problem *client.Problem) string {
	text := problem.Detail
	if text == "" {
		text = problem.Title + "."
	}
	said := []string{text}
	for _, field := range problem.Fields {
		said = append(said, "--"+strings.ReplaceAll(field.Name, "_", "-")+" "+field.Detail+".")
	}
	return sentences(said...)
}

// remedies are what to do at a command line where the API's remedy speaks of requests.
var remedies = map[client.Code]string{
	client.CodePasswordRequired:     "Give its password with --password-file or DOCMILL_PASSWORD.",
	client.CodePasswordWrong:        "Give the right password with --password-file or DOCMILL_PASSWORD.",
	client.CodeFileUnrecognized:     "Give a document in one of the formats that docmill formats lists.",
	client.CodeFormatUnsupported:    "See docmill formats for the conversions.",
	client.CodeFileTypeContradicted: "Rename the document so that its extension is that of its format, or give the right file.",
	client.CodeFileEmpty:            "Give a document that is not empty.",
	client.CodeOptionInvalid:        "See docmill convert --help.",
	client.CodeFileTooLarge:         "Give a smaller document, or raise --max-upload-size (of the server, if there is one).",
	client.CodePagesNotFound:        "Request pages that exist, or omit --pages.",
	client.CodeConversionTimeout:    "Simplify the document, or raise --conversion-timeout (of the server, if there is one).",
	client.CodeDocumentMalformed:    "Open the document in the program that created it, save it again and convert the new file.",
	client.CodeEngineCrashed:        "Open the document in the program that created it, save it again and convert the new file.",
	client.CodeStoreUnavailable:     "Try again later. Without --server, make space in the directory for temporary files, or set TMPDIR to another one.",
	client.CodeJobNotFound:          "Check the id and the server.",
	client.CodeJobNotCancelable:     "To delete its files: docmill jobs rm ID.",
	client.CodeJobNotFinished:       "Wait for it: docmill jobs wait ID.",
}

func remedy(code client.Code, fromServer string) string {
	if own, ok := remedies[code]; ok {
		return own
	}
	return fromServer
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func sentences(all ...string) string { return strings.TrimSpace(strings.Join(all, " ")) }

// unusable is the error of [Reach].
type unusable struct {
	server string
	cause  error
}

// Error says what to do.
func (u *unusable) Error() string {
	return fmt.Sprintf("cannot use the server %s: %v\nCheck the URL, and that Docmill runs there; docmill doctor --server=URL tells more",
		Redacted(u.server), u.cause)
}

// Cause returns why a server cannot be used.
func Cause(err error) error {
	if known, ok := errors.AsType[*unusable](err); ok {
		return known.cause
	}
	return err
}

// Version returns the version of a server's API.
func Version(ctx context.Context, server string) (string, error) {
	base, err := parse(server)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/v1/openapi.json", http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var document struct {
		Info struct {
			Version string `json:"version"`
		} `json:"info"`
	}
	const limit = 16 << 20
	if err := json.NewDecoder(io.LimitReader(response.Body, limit)).Decode(&document); err != nil {
		return "", err
	}
	if document.Info.Version == "" {
		return "", errors.New("the OpenAPI document has no version")
	}
	return document.Info.Version, nil
}
