package compose

import (
	"strings"

	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/option"
)

// optionParameters returns the query parameters of a submission. Secrets are for forms only.
func optionParameters() []openapi.Parameter {
	var parameters []openapi.Parameter
	for _, o := range option.AllOffered() {
		if o.Kind == option.Secret {
			continue
		}
		schema := optionSchema(o)
		parameters = append(parameters, openapi.Parameter{Name: string(o.Name), In: "query", Description: describe(o), Schema: schema})
	}
	return parameters
}

// form returns the schema of a submission as a form.
func form() *openapi.Schema {
	fields := &openapi.Schema{Type: "object", Required: []string{"file"}}
	for _, o := range option.AllOffered() {
		schema := optionSchema(o)
		schema.Description = describe(o)
		fields.Properties.Set(string(o.Name), schema)
	}
	fields.Properties.Set("file", openapi.Schema{
		Type: "string", ContentMediaType: "application/octet-stream",
		Description: "The document, with its file name. It must be the last part.",
	})
	return fields
}

func optionSchema(o option.Option) openapi.Schema {
	switch o.Kind {
	case option.Boolean:
		schema := openapi.Schema{Type: "boolean"}
		if o.Default != "" {
			schema.Default = o.Default == "true"
		}
		return schema
	case option.Integer:
		return openapi.Schema{Type: "integer", Minimum: &o.Minimum, Maximum: &o.Maximum}
	case option.Choice:
		schema := openapi.Schema{Type: "string", Enum: o.Allowed}
		if o.Default != "" {
			schema.Default = o.Default
		}
		return schema
	default:
		return openapi.Schema{Type: "string", MaxLength: o.MaxLength, Examples: examplesOf(o), MinLength: minLength(o)}
	}
}

// minLength returns 1 for texts, except for the tag, which may be empty.
func minLength(o option.Option) int {
	if o.Name == option.Tag {
		return 0
	}
	return 1
}

// optionExamples have the values whose form the schema does not tell.
var optionExamples = map[option.Kind][]any{
	option.PageRange: {"1-3,5,8-"},
	option.Language:  {"de", "pt-BR"},
}

func examplesOf(o option.Option) []any {
	switch o.Name {
	case option.CallbackURL:
		return []any{"https://example.com/hooks/docmill"}
	case option.CallbackEvents:
		return []any{"job.succeeded,job.failed"}
	default:
		return optionExamples[o.Kind]
	}
}

// describe returns the description of an option and what it applies to.
func describe(o option.Option) string {
	text := o.Description
	if families := o.FamilyNames(); len(families) > 0 {
		text += " Documents: " + strings.Join(families, ", ") + "."
	}
	if len(o.Targets) > 0 {
		text += " Targets: " + strings.Join(o.Targets, ", ") + "."
	}
	return text
}
