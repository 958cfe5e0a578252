package openapi

// Document is an OpenAPI 3.1 document, with the members that the description of this API needs. Their meaning is that
// of the specification.
type Document struct {
	OpenAPI    string        `json:"openapi"`
	Info       Info          `json:"info"`
	Servers    []Server      `json:"servers"`
	Tags       []Tag         `json:"tags"`
	Paths      Map[PathItem] `json:"paths"`
	Components Components    `json:"components"`
}

// Info describes the API.
type Info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

// Server is where the API is served; its URL may be relative to that of the document.
type Server struct {
	URL string `json:"url"`
}

// Tag is a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// PathItem has the operations of a path.
type PathItem struct {
	Get  *Operation `json:"get,omitempty"`
	Head *Operation `json:"head,omitempty"`
	Post *Operation `json:"post,omitempty"`

	Delete *Operation `json:"delete,omitempty"`
}

// Operation is a method of a path.
type Operation struct {
	OperationID string        `json:"operationId"`
	Tags        []string      `json:"tags"`
	Summary     string        `json:"summary"`
	Description string        `json:"description,omitempty"`
	Parameters  []Parameter   `json:"parameters,omitempty"`
	RequestBody *RequestBody  `json:"requestBody,omitempty"`
	Responses   Map[Response] `json:"responses"`
}

// Parameter is a part of the path, a query parameter or a header of a request.
type Parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Schema      Schema `json:"schema"`
	Example     any    `json:"example,omitempty"`
}

// RequestBody has the bodies that a request may have, by media type.
type RequestBody struct {
	Description string         `json:"description,omitempty"`
	Required    bool           `json:"required"`
	Content     Map[MediaType] `json:"content"`
}

// MediaType describes a body.
type MediaType struct {
	Schema   *Schema      `json:"schema,omitempty"`
	Examples Map[Example] `json:"examples,omitzero"`
}

// Example is a value, or refers to one.
type Example struct {
	Ref     string `json:"$ref,omitempty"`
	Summary string `json:"summary,omitempty"`
	Value   any    `json:"value,omitempty"`
}

// Response is the answer with a status.
type Response struct {
	Description string         `json:"description"`
	Headers     Map[Header]    `json:"headers,omitzero"`
	Content     Map[MediaType] `json:"content,omitzero"`
}

// Header is a header of a response.
type Header struct {
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Schema      Schema `json:"schema"`
}

// Components are what other parts of the document refer to.
type Components struct {
	Schemas   Map[Schema]   `json:"schemas"`
	Responses Map[Response] `json:"responses"`
	Examples  Map[Example]  `json:"examples"`
}

// Schema is a JSON Schema in the dialect of OpenAPI 3.1.
type Schema struct {
	Ref                  string      `json:"$ref,omitempty"`
	Description          string      `json:"description,omitempty"`
	Type                 string      `json:"type,omitempty"`
	Format               string      `json:"format,omitempty"`
	ContentMediaType     string      `json:"contentMediaType,omitempty"`
	Enum                 []string    `json:"enum,omitempty"`
	Const                any         `json:"const,omitempty"`
	Default              any         `json:"default,omitempty"`
	Minimum              *int        `json:"minimum,omitempty"`
	Maximum              *int        `json:"maximum,omitempty"`
	MinLength            int         `json:"minLength,omitempty"`
	MaxLength            int         `json:"maxLength,omitempty"`
	MinItems             int         `json:"minItems,omitempty"`
	MaxItems             int         `json:"maxItems,omitempty"`
	Examples             []any       `json:"examples,omitempty"`
	AllOf                []Schema    `json:"allOf,omitempty"`
	Items                *Schema     `json:"items,omitempty"`
	Properties           Map[Schema] `json:"properties,omitzero"`
	AdditionalProperties *bool       `json:"additionalProperties,omitempty"`
	Required             []string    `json:"required,omitempty"`
}
