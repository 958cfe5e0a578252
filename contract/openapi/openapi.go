// Package openapi contains the OpenAPI 3.1 description of the public HTTP API.
//
// The document is composed from the code's own tables and types by the internal package compose, whose test fails if
// the committed file is not current:
//
//	go test ./contract/openapi/... -update
package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed openapi.json
var document []byte

// JSON returns a copy of the document as it is served at /v1/openapi.json.
func JSON() []byte { return slices.Clone(document) }

// Read decodes the document.
func Read() (Document, error) {
	var read Document
	if err := json.Unmarshal(document, &read); err != nil {
		return Document{}, fmt.Errorf("decode the OpenAPI document: %w", err)
	}
	return read, nil
}
