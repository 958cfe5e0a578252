package libreoffice

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// with returns options in which only one has a value other than its default.
func with(t *testing.T, name option.Name) *conversionv1.Options {
	t.Helper()
	options := &conversionv1.Options{}
	message := options.ProtoReflect()
	field := message.Descriptor().Fields().ByName(protoreflect.Name(name))
	require.NotNil(t, field, name)
	switch field.Kind() {
	case protoreflect.BoolKind:
		message.Set(field, protoreflect.ValueOfBool(name != option.FormFields)) // whose default is true
	case protoreflect.EnumKind:
		value := protoreflect.EnumNumber(1)
		if name == option.Layout { // whose default is 1
			value = 2
		}
		message.Set(field, protoreflect.ValueOfEnum(value))
	case protoreflect.StringKind:
		message.Set(field, protoreflect.ValueOfString("de"))
	default:
		message.Set(field, protoreflect.ValueOfInt32(60))
	}
	return options
}

// TestDeclaredOptionsHaveAnEffect checks that each option changes the arguments for LibreOffice, where it is declared
// and only there.
func TestDeclaredOptionsHaveAnEffect(t *testing.T) {
	t.Parallel()
	xlsx, _ := format.ByID("xlsx")
	target, _ := xlsx.Target(format.TargetPDF)
	docx, _ := format.ByID("docx")
	translators := map[string]func(*conversionv1.Options) any{
		"load": func(o *conversionv1.Options) any {
			layout := layoutOf(t.Context(), engine.Request{Format: docx, Target: target, Options: o}, strings.NewReader(""), 0)
			return fmt.Sprint(loadOptions(format.Import{}, o.GetLocale()), loadCommand(o), layout)
		},
		"export": func(o *conversionv1.Options) any {
			return exportOptions(engine.Request{Format: xlsx, Target: target, Options: o})
		},
		"page setup": func(o *conversionv1.Options) any {
			return pageSetupOf(engine.Request{Format: xlsx, Target: target, Options: o})
		},
	}
	declared := map[string][]option.Name{"load": LoadOptions, "export": ExportOptions, "page setup": PageSetupOptions}
	for consumer, names := range declared {
		for _, name := range names {
			for other, translate := range translators {
				if changed := translate(with(t, name)) != translate(&conversionv1.Options{}); changed != (other == consumer) {
					t.Errorf("option %s changes %s: %v", name, other, changed)
				}
			}
		}
	}
}
