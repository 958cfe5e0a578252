package option_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// TestTheTableHasEveryField checks that the table and the messages have the same options.
func TestTheTableHasEveryField(t *testing.T) {
	t.Parallel()
	rows := map[string]option.Option{}
	for _, o := range option.All() {
		require.NotContains(t, rows, string(o.Name))
		require.NotEmpty(t, o.Description)
		rows[string(o.Name)] = o
	}
	fields := 0
	for _, message := range []proto.Message{&conversionv1.Options{}, &conversionv1.Secrets{}} {
		all := message.ProtoReflect().Descriptor().Fields()
		for i := range all.Len() {
			fields++
			o, found := rows[string(all.Get(i).Name())]
			require.True(t, found, all.Get(i).Name())
			_, secret := message.(*conversionv1.Secrets)
			require.Equal(t, secret, o.Kind == option.Secret, o.Name)
			require.Equal(t, all.Get(i).Kind() == protoreflect.BoolKind, o.Kind == option.Boolean, o.Name)
			require.Equal(t, all.Get(i).Kind() == protoreflect.Int32Kind, o.Kind == option.Integer, o.Name)
			require.Equal(t, all.Get(i).Kind() == protoreflect.EnumKind, o.Kind == option.Choice, o.Name)
			if o.Default != "" {
				require.NoError(t, option.New().Set(string(o.Name), o.Default), o.Name)
			}
		}
	}
	require.Len(t, rows, fields)
}

// TestTargetsExist checks that the table names no target that no document can be converted into.
func TestTargetsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	families := map[format.Family]bool{}
	for f := range format.All() {
		families[f.Family] = true
	}
	for target := range format.AllTargets() {
		known[target.ID] = true
	}
	for _, o := range option.All() {
		for _, target := range o.Targets {
			require.True(t, known[target], "%s names the target %q", o.Name, target)
		}
		for _, family := range o.Families {
			require.True(t, families[family], "%s names the family %q", o.Name, family)
		}
	}
}

// TestContradictionsNameExistingOptions provokes every contradiction. Together with TestTheTableHasEveryField it shows
// that the names of both sides are options.
func TestContradictionsNameExistingOptions(t *testing.T) {
	t.Parallel()
	for with, c := range map[string]struct {
		given  string
		faulty []option.Name
	}{
		"pdf_a=1b": {
			"user_password=u,owner_password=o,allow_printing=none,allow_changes=none,allow_copying=true",
			[]option.Name{option.UserPassword, option.OwnerPassword, option.AllowPrinting, option.AllowChanges, option.AllowCopying},
		},
		"single_page_sheets=true": {
			"paper=a4,orientation=portrait,fit_width=true", []option.Name{option.Paper, option.Orientation, option.FitWidth},
		},
		"image_lossless=true": {"image_quality=5", []option.Name{option.ImageQuality}},
		"width=100":           {"dpi=100", []option.Name{option.DPI}},
		"pdf_ua=true":         {"tagged=false", []option.Name{option.Tagged}},
		"user_password=u":     {"owner_password=u", []option.Name{option.OwnerPassword}},
	} {
		chosen := option.New()
		for pair := range strings.SplitSeq(with+","+c.given, ",") {
			name, value, _ := strings.Cut(pair, "=")
			require.NoError(t, chosen.Set(name, value), pair)
		}
		var faulty []option.Name
		for _, violation := range chosen.Contradictions() {
			faulty = append(faulty, option.Name(violation.Name))
		}
		require.Equal(t, c.faulty, faulty, with)
	}
}

func TestValuesRoundTrip(t *testing.T) {
	t.Parallel()
	chosen := option.New()
	for name, value := range map[string]string{
		"pages": "1-3,5,8-", "pdf_a": "2b", "tagged": "false", "image_quality": "75", "watermark": `a="b" ü`, "notes": "only",
		"locale": "pt-BR", "allow_printing": "low", "paper": "a4",
	} {
		require.NoError(t, chosen.Set(name, value), name)
	}
	require.Nil(t, chosen.Secrets())
	require.Equal(t, map[string]any{
		"pages": "1-3,5,8-", "pdf_a": "2b", "tagged": false, "image_quality": int32(75), "watermark": `a="b" ü`, "notes": "only",
		"locale": "pt-BR", "allow_printing": "low", "paper": "a4",
	}, option.Values(chosen.Options()))
	require.Equal(t, conversionv1.PdfA_PDF_A_2B, chosen.Options().GetPdfA())

	require.Equal(t, map[string]any{}, option.Values(nil))
	newer := &conversionv1.Options{Paper: 99}
	require.Equal(t, map[string]any{}, option.Values(newer))
}

func TestInvalidValues(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"color":         {"red"},
		"pages":         {"", "0", "1-0", "5-3", "a", "1,,2", "-", "1-2-3", "100000", "１", "1;2", "1\n", strings.Repeat("1,", 200) + "1"},
		"pdf_a":         {"", "2B", "4", "unspecified", "UNSPECIFIED"},
		"tagged":        {"", "1", "TRUE", "yes"},
		"image_quality": {"", "0", "101", "-1", "9.5", "99999999999999"},
		"locale":        {"", "de_DE", "de,Batch=false", "english language", "xx-yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"},
		"watermark":     {"", "a\x00b", "\xff", strings.Repeat("x", 129)},
		"password":      {"", "a\nb", strings.Repeat("x", 256)},
	} {
		for _, value := range values {
			chosen := option.New()
			require.Error(t, chosen.Set(name, value), "%s=%q", name, value)
			require.Nil(t, chosen.Options())
			require.Nil(t, chosen.Secrets())
		}
	}
}

func TestCombinations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target string
		family format.Family
		given  []string // name=value
		wrong  []string
	}{
		"a deck's notes":        {"pdf", format.Presentation, []string{"notes=with"}, nil},
		"a letter's notes":      {"pdf", format.Text, []string{"notes=with"}, []string{"notes"}},
		"paper of a deck":       {"pdf", format.Presentation, []string{"paper=a4", "pages=1"}, []string{"paper"}},
		"pages of a docx":       {"docx", format.Text, []string{"pages=1", "password=p"}, []string{"pages"}},
		"archive and passwords": {"pdf", format.Text, []string{"pdf_a=1b", "user_password=u", "allow_printing=none"}, []string{"user_password", "allow_printing"}},
		"equal passwords":       {"pdf", format.Text, []string{"user_password=u", "owner_password=u"}, []string{"owner_password"}},
		"owner alone":           {"pdf", format.Text, []string{"owner_password=u"}, nil},
		"width and dpi":         {"png", format.Text, []string{"width=100", "dpi=100"}, []string{"dpi"}},
		"lossless quality":      {"pdf", format.Text, []string{"image_lossless=true", "image_quality=5"}, []string{"image_quality"}},
		"two papers":            {"pdf", format.Spreadsheet, []string{"single_page_sheets=true", "fit_width=true"}, []string{"fit_width"}},
		"untagged and UA":       {"pdf", format.Text, []string{"pdf_ua=true"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen := option.New()
			for _, pair := range c.given {
				name, value, _ := strings.Cut(pair, "=")
				require.NoError(t, chosen.Set(name, value), pair)
			}
			var wrong []string
			for _, violation := range append(chosen.Unsuitable(c.target, c.family), chosen.Contradictions()...) {
				wrong = append(wrong, violation.Name)
			}
			require.Equal(t, c.wrong, wrong)
		})
	}
}

// TestUnsupported: a newer release may accept values that this one does not.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	unsupported := func(m proto.Message) string { return string(option.Unsupported(m.ProtoReflect())) }
	require.Empty(t, unsupported(&conversionv1.Options{}))
	require.Empty(t, unsupported(&conversionv1.Options{
		Pages: new("1-3,5"), Locale: new("pt-BR"), Dpi: new(int32(600)), Tagged: new(false), PdfA: conversionv1.PdfA_PDF_A_2B,
	}))
	require.Empty(t, unsupported(&conversionv1.Secrets{Password: new("hunter2")}))
	require.Equal(t, "dpi", unsupported(&conversionv1.Options{Pages: new("1"), Dpi: new(int32(601))}))
	require.Equal(t, "dpi", unsupported(&conversionv1.Options{Dpi: new(int32(0))}))
	require.Equal(t, "pages", unsupported(&conversionv1.Options{Pages: new("odd")}))
	require.Equal(t, "watermark", unsupported(&conversionv1.Options{Watermark: new(strings.Repeat("x", 129))}))
	require.Equal(t, "user_password", unsupported(&conversionv1.Secrets{UserPassword: new(strings.Repeat("x", 128))}))
}
