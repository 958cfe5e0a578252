// Package contracttest holds a running Docmill to the OpenAPI document that it serves: each request that it accepts and
// each of its responses must be as the document says.
package contracttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Contract is the OpenAPI document of a server. It is safe for concurrent use.
type Contract struct {
	document *openapi3.T
	router   routers.Router
}

// Fetch returns the contract that the server at a URL serves. The contract is stricter than the document: objects may
// have no members that are not documented.
func Fetch(ctx context.Context, baseURL string) (*Contract, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/v1/openapi.json", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch the OpenAPI document: %s, %w", response.Status, err)
	}
	return parse(ctx, text)
}

func parse(ctx context.Context, text []byte) (*Contract, error) {
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("load the OpenAPI document: %w", err)
	}
	if err := document.Validate(ctx); err != nil {
		return nil, fmt.Errorf("validate the OpenAPI document: %w", err)
	}
	for _, schema := range document.Components.Schemas {
		none := false
		schema.Value.AdditionalProperties = openapi3.BoolSchema{Has: &none}
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("route by the OpenAPI document: %w", err)
	}
	return &Contract{document: document, router: router}, nil
}

// check returns how a request and its response violate the contract. body is the response's if it is JSON.
func (c *Contract) check(request *http.Request, response *http.Response, body []byte) error {
	route, parameters, err := c.router.FindRoute(request)
	switch {
	case errors.Is(err, routers.ErrPathNotFound):
		return c.checkGeneral(request, response, body, http.StatusNotFound, "RouteNotFound")
	case errors.Is(err, routers.ErrMethodNotAllowed):
		return c.checkGeneral(request, response, body, http.StatusMethodNotAllowed, "MethodNotAllowed")
	case err != nil:
		return err
	}
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route}
	if response.StatusCode < http.StatusBadRequest {
		if err := checkRequest(request.Context(), input); err != nil {
			return fmt.Errorf("the server accepted a request that is not documented: %w", err)
		}
	}
	return checkResponse(request.Context(), input, response, body)
}

// checkRequest checks a request that the server has accepted. Its body is checked if it is a form that can be read
// again; other bodies are documents.
func checkRequest(ctx context.Context, input *openapi3filter.RequestValidationInput) error {
	request := input.Request
	isForm := strings.HasPrefix(request.Header.Get("Content-Type"), "multipart/") && request.GetBody != nil
	input.Options = &openapi3filter.Options{ExcludeRequestBody: !isForm, SkipSettingDefaults: true}
	if !isForm {
		return openapi3filter.ValidateRequest(ctx, input)
	}
	body, err := request.GetBody()
	if err != nil {
		return fmt.Errorf("read the form again: %w", err)
	}
	again := request.Clone(ctx)
	again.Body = body
	input.Request = again
	return openapi3filter.ValidateRequest(ctx, input)
}

// checkGeneral checks the response to a request that the document does not have.
func (c *Contract) checkGeneral(request *http.Request, response *http.Response, body []byte, status int, component string) error {
	responses := openapi3.NewResponses(openapi3.WithStatus(status, c.document.Components.Responses[component]))
	route := &routers.Route{Spec: c.document, Operation: &openapi3.Operation{Responses: responses}}
	return checkResponse(request.Context(), &openapi3filter.RequestValidationInput{Request: request, Route: route}, response, body)
}

// checkResponse checks status, headers and content type, and the body if it is JSON.
func checkResponse(ctx context.Context, input *openapi3filter.RequestValidationInput, response *http.Response, body []byte) error {
	documented := input.Route.Operation.Responses.Status(response.StatusCode)
	if documented == nil {
		return fmt.Errorf("the status %s is not documented", response.Status)
	}
	contentType := response.Header.Get("Content-Type")
	if content := documented.Value.Content; len(content) > 0 && content.Get(contentType) == nil {
		return fmt.Errorf("the content type %q of a response %s is not documented", contentType, response.Status)
	}
	asked := *input
	if asked.Request.Method == http.MethodHead { // the library would not look at the response
		asked.Request = asked.Request.Clone(ctx)
		asked.Request.Method = http.MethodGet
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &asked, Status: response.StatusCode, Header: response.Header,
		Options: &openapi3filter.Options{ExcludeResponseBody: body == nil, MultiError: true},
	}
	answer.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(ctx, answer)
}
