package contracttest

import (
	"bytes"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// Request is a generated request. Path includes the query.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         []byte
}

// Requests returns a generator of requests: the operations, parameters and values of the document, and in half of them
// also what it forbids. Ids are those of jobs.
func (c *Contract) Requests(ids ...string) *rapid.Generator[Request] {
	known := c.endpoints()
	return rapid.Custom(func(t *rapid.T) Request {
		at := rapid.SampledFrom(known).Draw(t, "endpoint")
		id := rapid.SampledFrom(ids).Draw(t, "id")
		d := draw{T: t, careful: rapid.Bool().Draw(t, "careful")}
		if !d.careful {
			at.method = rapid.SampledFrom([]string{at.method, "GET", "POST", "PUT", "DELETE", "OPTIONS"}).Draw(t, "method")
			id = rapid.OneOf(rapid.Just(id), rapid.StringMatching(`[!-.0-~]{1,40}`)).Draw(t, "any id")
		}
		request := Request{Method: at.method, Path: strings.ReplaceAll(at.path, "{id}", url.PathEscape(id)), Header: http.Header{}}
		if operation := c.document.Paths.Value(at.path).Operations()[at.method]; operation != nil {
			request.add(d, operation)
		}
		return request
	})
}

type endpoint struct{ path, method string }

// endpoints returns what the document has, half of them submissions, which can go wrong in most ways.
func (c *Contract) endpoints() []endpoint {
	var all []endpoint
	for _, path := range slices.Sorted(maps.Keys(c.document.Paths.Map())) {
		for _, method := range slices.Sorted(maps.Keys(c.document.Paths.Value(path).Operations())) {
			all = append(all, endpoint{path, method})
		}
	}
	return append(all, slices.Repeat([]endpoint{{"/v1/jobs", http.MethodPost}}, len(all))...)
}

// draw is the source of a request. A careful request has only values that the document allows.
type draw struct {
	*rapid.T

	careful bool
}

// sometimes is true once in n times.
func (d draw) sometimes(n int, what string) bool {
	return rapid.IntRange(0, n-1).Draw(d.T, what) == n-1 // rapid prefers small numbers
}

// add adds some of the parameters of an operation, and a body.
func (r *Request) add(d draw, operation *openapi3.Operation) {
	query := url.Values{}
	for _, ref := range operation.Parameters {
		parameter := ref.Value
		if parameter.In == openapi3.ParameterInPath || !d.sometimes(16, "with "+parameter.Name) {
			continue
		}
		switch {
		case parameter.In == openapi3.ParameterInQuery:
			query.Set(parameter.Name, d.value(parameter.Name, parameter.Schema.Value))
		case parameter.Name == "Prefer": // no request is held for long
			r.Header.Set(parameter.Name, rapid.SampledFrom([]string{"wait=0", "wait=1", "wait=x", "wait", ""}).Draw(d.T, parameter.Name))
		default:
			r.Header.Set(parameter.Name, d.header(parameter))
		}
	}
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	if operation.RequestBody == nil {
		return
	}
	name := "a.txt"
	r.Body = []byte("A letter.")
	if !d.careful {
		name = rapid.OneOf(rapid.SampledFrom([]string{"a.txt", "a.csv", "a.pptx"}), rapid.StringMatching(`[ !#-~]{0,20}`)).Draw(d.T, "filename")
		r.Body = rapid.OneOf(rapid.Just(r.Body), rapid.SliceOfN(rapid.Byte(), 0, 100)).Draw(d.T, "document")
	}
	if rapid.Bool().Draw(d.T, "form") {
		r.makeForm(d, name, operation.RequestBody.Value.Content["multipart/form-data"].Schema.Value)
	} else {
		r.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
}

// makeForm makes the body a form with the document and some fields of the schema.
func (r *Request) makeForm(d draw, filename string, schema *openapi3.Schema) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if name != "file" && d.sometimes(16, "with "+name) {
			_ = form.WriteField(name, d.value(name, schema.Properties[name].Value)) // a buffer takes everything
		}
	}
	part, _ := form.CreateFormFile("file", filename)
	_, _ = part.Write(r.Body)
	_ = form.Close()
	r.Body = body.Bytes()
	r.Header.Set("Content-Type", form.FormDataContentType())
}

// value returns a value of an option.
func (d draw) value(name string, schema *openapi3.Schema) string {
	if !d.careful && d.sometimes(4, "any "+name) {
		return rapid.String().Draw(d.T, name)
	}
	switch {
	case len(schema.Enum) > 0:
		return fmt.Sprint(rapid.SampledFrom(schema.Enum).Draw(d.T, name))
	case len(schema.Examples) > 0:
		return fmt.Sprint(rapid.SampledFrom(schema.Examples).Draw(d.T, name))
	case schema.Type.Is("boolean"):
		return strconv.FormatBool(rapid.Bool().Draw(d.T, name))
	case schema.Type.Is("integer"):
		return strconv.Itoa(rapid.IntRange(int(*schema.Min), int(*schema.Max)).Draw(d.T, name))
	default:
		return rapid.StringMatching(`[ -~]{1,20}`).Draw(d.T, name)
	}
}

// header returns a value of a header.
func (d draw) header(parameter *openapi3.Parameter) string {
	values := []string{"*", `"1"`, `W/"1", "2"`}
	if parameter.Example != nil {
		values = []string{fmt.Sprint(parameter.Example)}
	}
	return rapid.OneOf(rapid.SampledFrom(values), rapid.StringMatching(`[ -~]{0,30}`)).Draw(d.T, parameter.Name)
}
