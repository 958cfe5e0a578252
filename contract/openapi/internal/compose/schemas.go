package compose

import (
	"cmp"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/openapi"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

// schemas derives schemas from Go types, as encoding/json writes them.
type schemas struct {
	sources    sources
	components openapi.Map[openapi.Schema]
}

func newSchemas(read sources) *schemas { return &schemas{sources: read} }

// names are the schemas of types that have another name, or would have the name of another type.
var names = map[reflect.Type]string{
	reflect.TypeFor[problem.Answer](): "Problem",
	reflect.TypeFor[problem.Field]():  "ProblemField",
	reflect.TypeFor[jobapi.Error]():   "JobError",
}

// closed are the types whose constants are all values that exist. Codes are not closed: versions add some.
var closed = map[reflect.Type]bool{
	reflect.TypeFor[jobapi.Status]():         true,
	reflect.TypeFor[jobapi.DeliveryStatus](): true,
	reflect.TypeFor[option.Kind]():           true,
}

// members are the types of the values of struct fields of the Go type any, by the name of the field. Package problem cannot use the type
// of jobs.
var members = map[reflect.Type]map[string]reflect.Type{
	reflect.TypeFor[problem.Answer](): {"JobState": reflect.TypeFor[jobapi.Job]()},
}

// of adds the schema of a value's type to the components.
func (s *schemas) of(value any) { s.schema(reflect.TypeOf(value)) }

// ref returns a reference to a component.
func ref(name string) openapi.Schema { return openapi.Schema{Ref: "#/components/schemas/" + name} }

func (s *schemas) schema(t reflect.Type) openapi.Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return openapi.Schema{Type: "string", Format: "date-time"}
	case closed[t]:
		return openapi.Schema{Type: "string", Enum: s.sources.constants[nameOf(t)]}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.schema(t.Elem())
	case reflect.Struct:
		return s.component(t)
	case reflect.Slice:
		items := s.schema(t.Elem())
		return openapi.Schema{Type: "array", Items: &items}
	case reflect.Map, reflect.Interface:
		open := true
		return openapi.Schema{Type: "object", AdditionalProperties: &open}
	case reflect.Bool:
		return openapi.Schema{Type: "boolean"}
	case reflect.Int32:
		return openapi.Schema{Type: "integer", Format: "int32"}
	case reflect.Int, reflect.Int64:
		return openapi.Schema{Type: "integer", Format: "int64"}
	case reflect.Float64:
		return openapi.Schema{Type: "number", Format: "double"}
	default:
		return openapi.Schema{Type: "string"}
	}
}

// component returns a reference to the schema of a struct, which it adds to the components.
func (s *schemas) component(t reflect.Type) openapi.Schema {
	name := t.Name()
	if other, renamed := names[t]; renamed {
		name = other
	}
	if _, known := s.components.Get(name); known {
		return ref(name)
	}
	s.components.Set(name, openapi.Schema{}) // keeps the place before those of the members
	object := openapi.Schema{Type: "object", Description: s.sources.comments[nameOf(t)]}
	for _, field := range reflect.VisibleFields(t) {
		member, rest, _ := strings.Cut(field.Tag.Get("json"), ",")
		schema := s.schema(cmp.Or(members[t][field.Name], field.Type))
		if comment := s.sources.comments[nameOf(t)+"."+field.Name]; comment != "" {
			schema.Description = inJSON(comment, t)
		}
		object.Properties.Set(member, schema)
		if !strings.Contains(rest, "omitempty") {
			object.Required = append(object.Required, member)
		}
	}
	s.components.Set(name, object)
	return ref(name)
}

// word matches what may be the name of a member in a comment.
var word = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)

// inJSON replaces the names of a type's members in a comment by those in JSON.
func inJSON(comment string, t reflect.Type) string {
	return word.ReplaceAllStringFunc(comment, func(name string) string {
		if field, found := t.FieldByName(name); found {
			member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			return member
		}
		return name
	})
}
