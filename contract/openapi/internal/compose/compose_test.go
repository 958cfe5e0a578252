package compose_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/internal/docpage"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/openapi/internal/compose"
	"github.com/docmill/docmill/contract/problem"
)

const contract = "../../.."

func composed(t *testing.T) []byte {
	t.Helper()
	document, err := compose.Document(contract)
	require.NoError(t, err)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	require.NoError(t, encoder.Encode(document))
	return text.Bytes()
}

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	docpage.RequireCurrentFile(t, "../../openapi.json", string(composed(t)))
}

// TestDocumentIsValid checks the document, and its examples against their schemas.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromData(composed(t))
	require.NoError(t, err)
	require.True(t, document.IsOpenAPI31OrLater())
	require.NoError(t, document.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation()))
}

// TestEveryCodeHasAnExample checks that the document is complete: examples of all codes, which fit the schema.
func TestEveryCodeHasAnExample(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromData(composed(t))
	require.NoError(t, err)
	schemas := document.Components.Schemas
	for code := range problem.Codes() {
		example := document.Components.Examples[string(code)]
		require.NotNil(t, example, code)
		value, ok := example.Value.Value.(map[string]any)
		require.True(t, ok, code)
		schema := schemas["JobError"]
		if value["status"] != nil {
			schema = schemas["Problem"]
		}
		require.Equal(t, string(code), value["code"])
		require.NoError(t, schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()), code)
		if code == problem.JobNotCancelable || code == problem.JobNotRetryable {
			require.Contains(t, value, "job_state", code)
		}
	}
}

// TestNoCodeDisappears compares with the released document. The check for other breaking changes does not compare
// examples.
func TestNoCodeDisappears(t *testing.T) {
	t.Parallel()
	released, err := openapi3.NewLoader().LoadFromFile("../../released.json")
	require.NoError(t, err)
	codes := problem.Codes()
	for code := range released.Components.Examples {
		require.Contains(t, codes, problem.Code(code))
	}
}

func TestEveryOperationHasExamples(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromData(composed(t))
	require.NoError(t, err)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for mediaType, body := range response.Value.Content {
					if body.Schema != nil && body.Schema.Ref != "" {
						require.NotEmpty(t, body.Examples, "%s %s %s %s", method, path, status, mediaType)
					}
				}
			}
		}
	}
}

func TestEveryMemberIsReadBack(t *testing.T) {
	t.Parallel()
	read, err := openapi.Read()
	require.NoError(t, err)
	again, err := json.Marshal(read)
	require.NoError(t, err)
	require.JSONEq(t, string(openapi.JSON()), string(again))
}
