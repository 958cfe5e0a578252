package option

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Chosen is what a client has chosen. It is not safe for concurrent use.
type Chosen struct {
	options *conversionv1.Options
	secrets *conversionv1.Secrets
}

// New returns an empty Chosen.
func New() *Chosen { return &Chosen{&conversionv1.Options{}, &conversionv1.Secrets{}} }

// Options returns what was chosen, or nil if nothing was. The message is not a copy.
func (c *Chosen) Options() *conversionv1.Options {
	if proto.Size(c.options) == 0 {
		return nil
	}
	return c.options
}

// Secrets returns the secrets that were given, or nil if none were. The message is not a copy.
func (c *Chosen) Secrets() *conversionv1.Secrets {
	if proto.Size(c.secrets) == 0 {
		return nil
	}
	return c.secrets
}

// Set sets an option. fault describes what is wrong with the value, in words that follow the option's name in a
// sentence; it is empty if the value is valid, and never repeats the value.
func (c *Chosen) Set(name, value string) (fault string) {
	o, found := find(Name(name))
	if !found {
		return "is not an option"
	}
	field, secret := fieldOf(o.Name)
	parsed, fault := o.parse(field, value)
	if fault != "" {
		return fault
	}
	if secret {
		c.secrets.ProtoReflect().Set(field, parsed)
	} else {
		c.options.ProtoReflect().Set(field, parsed)
	}
	return ""
}

// parse returns a value in the type of its field.
func (o Option) parse(field protoreflect.FieldDescriptor, value string) (parsed protoreflect.Value, fault string) {
	switch o.Kind {
	case Boolean:
		if value != "true" && value != "false" {
			return parsed, "must be true or false"
		}
		return protoreflect.ValueOfBool(value == "true"), ""
	case Integer:
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || int(n) < o.Minimum || int(n) > o.Maximum {
			return parsed, fmt.Sprintf("must be a whole number from %d to %d", o.Minimum, o.Maximum)
		}
		return protoreflect.ValueOfInt32(int32(n)), ""
	case Choice:
		i := slices.Index(o.Allowed, value)
		if i < 0 {
			return parsed, "must be one of: " + strings.Join(o.Allowed, ", ")
		}
		return protoreflect.ValueOfEnum(field.Enum().Values().Get(i + 1).Number()), ""
	default:
		return protoreflect.ValueOfString(value), o.faultOfText(value)
	}
}

func (o Option) faultOfText(value string) string {
	switch {
	case value == "":
		return "must not be empty"
	case !utf8.ValidString(value):
		return "must be UTF-8"
	case utf8.RuneCountInString(value) > o.MaxLength:
		return fmt.Sprintf("must have at most %d characters", o.MaxLength)
	case strings.ContainsFunc(value, unicode.IsControl):
		return "must not contain control characters"
	case o.Kind == PageRange && !isPages(value):
		return `must list pages, counted from 1, such as "1-3,5,8-"`
	case o.Kind == Language && !validLanguage(value):
		return `must be a BCP 47 language tag, such as "de" or "pt-BR"`
	default:
		return ""
	}
}

// validLanguage reports whether a tag names a known language, in the characters of BCP 47: Parse accepts underscores,
// too.
func validLanguage(tag string) bool {
	parsed, err := language.Parse(tag)
	return err == nil && parsed != language.Und && !strings.Contains(tag, "_")
}

func isPages(text string) bool {
	_, ok := ParsePages(text)
	return ok
}

// Range is the pages from First to Last, counted from 1.
type Range struct{ First, Last int }

// maxPage is the highest page number.
const maxPage = 99999

// ParsePages parses the value of a PageRange: page numbers from 1 to 99999 and ranges of them, which may be open at one
// end. It returns false if the text is not a page range.
func ParsePages(text string) ([]Range, bool) {
	var ranges []Range
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, okFirst := pageNumber(from, 1)
		last, okLast := pageNumber(to, maxPage)
		if !isRange {
			last = first
		}
		if !okFirst || !okLast || first > last || (from == "" && to == "") {
			return nil, false
		}
		ranges = append(ranges, Range{first, last})
	}
	return ranges, true
}

// pageNumber parses a page number that may be missing.
func pageNumber(text string, missing int) (int, bool) {
	if text == "" {
		return missing, true
	}
	n, err := strconv.ParseUint(text, 10, 17)
	return int(n), err == nil && n >= 1 && n <= maxPage
}

// Fault is what is wrong with an option.
type Fault struct{ Name, Detail string }

// Unsuitable lists the chosen options that do not apply to any of the families with the target.
func (c *Chosen) Unsuitable(target string, families ...format.Family) []Fault {
	var faults []Fault
	for _, o := range all() {
		suits := func(family format.Family) bool { return o.Applies(family, target) }
		if c.has(o.Name) && !slices.ContainsFunc(families, suits) {
			faults = append(faults, Fault{string(o.Name), "does not apply when converting this document to " + target})
		}
	}
	return faults
}

// Contradictions lists the chosen options that exclude each other.
func (c *Chosen) Contradictions() []Fault {
	var faults []Fault
	exclude := func(name Name, clash bool, detail string) {
		if clash && c.has(name) {
			faults = append(faults, Fault{string(name), detail})
		}
	}
	archival := c.options.GetPdfA() != conversionv1.PdfA_PDF_A_UNSPECIFIED
	for _, name := range []Name{UserPassword, OwnerPassword, AllowPrinting, AllowChanges, AllowCopying} {
		exclude(name, archival, "cannot be combined with pdf_a: an archival PDF is never encrypted")
	}
	for _, name := range []Name{Paper, Orientation, FitWidth} {
		exclude(name, c.options.GetSinglePageSheets(), "cannot be combined with single_page_sheets, which determines the paper size")
	}
	exclude(ImageQuality, c.options.GetImageLossless(), "cannot be combined with image_lossless")
	exclude(DPI, c.has(Width), "cannot be combined with width")
	exclude(Tagged, c.options.GetPdfUa() && !c.options.GetTagged(), "must not be false with pdf_ua")
	exclude(OwnerPassword, c.has(UserPassword) && c.secrets.GetOwnerPassword() == c.secrets.GetUserPassword(),
		"must differ from user_password, which would otherwise lift the restrictions")
	return faults
}

func (c *Chosen) has(name Name) bool {
	field, secret := fieldOf(name)
	switch {
	case field == nil:
		return false
	case secret:
		return c.secrets.ProtoReflect().Has(field)
	default:
		return c.options.ProtoReflect().Has(field)
	}
}

// Values returns what was chosen as clients write it: booleans, numbers and words by the options' names. It is never
// nil. Values that only a newer version knows are omitted.
func Values(options *conversionv1.Options) map[string]any {
	values := map[string]any{}
	options.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Kind() != protoreflect.EnumKind {
			values[string(field.Name())] = value.Interface()
		} else if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			values[string(field.Name())] = word(field.Enum(), known)
		}
		return true
	})
	return values
}

// words returns the values of an enum as clients write them, without the first, which means unspecified.
func words(enum protoreflect.EnumDescriptor) []string {
	var all []string
	for i := 1; i < enum.Values().Len(); i++ {
		all = append(all, word(enum, enum.Values().Get(i)))
	}
	return all
}

// word returns PDF_A_2B of PdfA as "2b": it removes the prefix of every value's name, which precedes UNSPECIFIED in the
// first.
func word(enum protoreflect.EnumDescriptor, value protoreflect.EnumValueDescriptor) string {
	prefix := strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
	own := strings.TrimPrefix(string(value.Name()), prefix)
	return strings.ReplaceAll(strings.ToLower(own), "_", "-")
}
