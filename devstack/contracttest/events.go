package contracttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
)

// checkEvent returns how the data of a server-sent event violates the contract: it is a job.
func (c *Contract) checkEvent(data []byte) error {
	var event any
	if err := json.Unmarshal(data, &event); err != nil {
		return fmt.Errorf("decode an event: %w", err)
	}
	return c.document.Components.Schemas["Job"].Value.VisitJSON(event, openapi3.MultiErrors())
}

// checkEvents checks the events of a response while they are read.
func (t *Transport) checkEvents(request *http.Request, response *http.Response) {
	response.Body = &events{ReadCloser: response.Body, check: func(data []byte) {
		if err := t.Contract.checkEvent(data); err != nil {
			t.Report(fmt.Errorf("%s %s: an event: %w", request.Method, request.URL.Path, err))
		}
	}}
}

// events is the body of a stream of server-sent events.
type events struct {
	io.ReadCloser

	check func(data []byte)
	line  []byte
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		part, after, complete := bytes.Cut(rest, []byte("\n"))
		e.line = append(e.line, part...)
		if data, found := bytes.CutPrefix(e.line, []byte("data: ")); complete && found {
			e.check(data)
		}
		if complete {
			e.line = nil
		}
		rest = after
	}
	return n, err
}
