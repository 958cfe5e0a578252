package conversion

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/libreoffice"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// consumers are the translators of options and secrets, by name, for one target. What a renderer applies is removed
// before the request reaches LibreOffice.
func consumers(target format.Target) map[string][]option.Name {
	all := map[string][]option.Name{
		"load": slices.Concat(libreoffice.LoadOptions, libreoffice.LoadSecrets), "page setup": libreoffice.PageSetupOptions,
	}
	switch {
	case target.Kind != format.Written:
		all["images"] = pdf.ImageOptions
		all["export"] = slices.DeleteFunc(slices.Clone(libreoffice.ExportOptions), func(name option.Name) bool {
			return slices.Contains(pdf.ImageOptions, name)
		})
	case target.ID == format.TargetPDF:
		all["export"] = libreoffice.ExportOptions
		all["encryption"] = slices.Concat(pdf.EncryptionOptions, pdf.EncryptionSecrets)
	}
	return all
}

// TestEveryOptionHasOneConsumer checks that no option is ignored or applied twice, for each document and target that it
// applies to. A new option fails here until a translator declares it, and in that translator's tests until it has an
// effect.
func TestEveryOptionHasOneConsumer(t *testing.T) {
	t.Parallel()
	for source := range format.All() {
		for target := range source.Targets() {
			for _, o := range option.All() {
				if !o.Applies(source.Family, target.ID) {
					continue
				}
				var by []string
				for consumer, names := range consumers(target) {
					if slices.Contains(names, o.Name) {
						by = append(by, consumer)
					}
				}
				require.Len(t, by, 1, "%s for %s to %s", o.Name, source.ID, target.ID)
			}
		}
	}
}

// TestConsumersDeclareExactlyTheFields checks that the translators together declare every field, and nothing else.
func TestConsumersDeclareExactlyTheFields(t *testing.T) {
	t.Parallel()
	fields := map[option.Name]bool{}
	for _, message := range []proto.Message{&conversionv1.Options{}, &conversionv1.Secrets{}} {
		all := message.ProtoReflect().Descriptor().Fields()
		for i := range all.Len() {
			fields[option.Name(all.Get(i).Name())] = true
		}
	}
	declared := map[option.Name]bool{}
	for _, names := range [][]option.Name{
		libreoffice.LoadOptions, libreoffice.LoadSecrets, libreoffice.PageSetupOptions, libreoffice.ExportOptions,
		pdf.ImageOptions, pdf.EncryptionOptions, pdf.EncryptionSecrets,
	} {
		for _, name := range names {
			declared[name] = true
		}
	}
	require.Equal(t, fields, declared)
}

// allOptions returns a message with a value in every field.
func allOptions() *conversionv1.Options {
	options := &conversionv1.Options{}
	message := options.ProtoReflect()
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch field.Kind() {
		case protoreflect.BoolKind:
			message.Set(field, protoreflect.ValueOfBool(true))
		case protoreflect.EnumKind:
			message.Set(field, protoreflect.ValueOfEnum(1))
		case protoreflect.StringKind:
			message.Set(field, protoreflect.ValueOfString("2"))
		default:
			message.Set(field, protoreflect.ValueOfInt32(60))
		}
	}
	return options
}

// TestEngineDoesNotGetImageOptions checks the request for the PDF of which images are made.
func TestEngineDoesNotGetImageOptions(t *testing.T) {
	t.Parallel()
	source, _ := format.ByID("pptx")
	for target := range source.Targets() {
		options := allOptions()
		request := forEngine(engine.Request{Format: source, Target: target, Options: options})
		require.True(t, proto.Equal(allOptions(), options), "the client's options are not changed")
		if target.Kind == format.Written {
			require.Equal(t, target, request.Target)
			require.Same(t, options, request.Options)
			continue
		}
		require.Equal(t, format.TargetPDF, request.Target.ID)
		want := allOptions()
		want.Width, want.Dpi, want.ImageQuality = nil, nil, nil
		if target.Kind == format.Thumbnail {
			want.Pages = new("1")
		}
		require.True(t, proto.Equal(want, request.Options), target.ID)
	}
}

// TestEveryKindOfTargetIsProduced checks that no kind of target falls through.
func TestEveryKindOfTargetIsProduced(t *testing.T) {
	t.Parallel()
	for source := range format.All() {
		for target := range source.Targets() {
			require.Contains(t, finishers, target.Kind, target.ID)
		}
	}
	unknown := finishing{request: engine.Request{Target: format.Target{ID: "hologram", Kind: 99}}}
	_, _, err := unknown.finish(t.Context())
	require.ErrorIs(t, err, errUnknownKind)
}
