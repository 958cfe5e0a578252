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

// Chosen is what a client has chosen. It is for one goroutine at a time.
type Chosen struct {
	options *conversionv1.Options
	secrets *conversionv1.Secrets
}

// New makes a Chosen of nothing.
func New() *Chosen { return &Chosen{&conversionv1.Options{}, &conversionv1.Secrets{}} }

// Options is what was chosen, or nil when that is nothing. It is shared, not copied.
func (c *Chosen) Options() *conversionv1.Options {
	if proto.Size(c.options) == 0 {
		return nil
	}
	return c.options
}

// Secrets is what was entrusted, or nil when that is nothing. It is shared, not copied.
func (c *Chosen) Secrets() *conversionv1.Secrets {
	if proto.Size(c.secrets) == 0 {
		return nil
	}
	return c.secrets
}

// Set takes an option's value. fault says what is wrong with it, to follow the option's name in a sentence; it is empty when
// nothing is, and never repeats the value.
func (c *Chosen) Set(name, value string) (fault string) {
	o, found := find(name)
	if !found {
		return "is no option"
	}
	field, secret := fieldOf(name)
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

// parse gives a value its type.
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
		return "must have no control characters"
	case o.Kind == PageRange && !isPages(value):
		return `must list pages, counted from 1, such as "1-3,5,8-"`
	case o.Kind == Language && !validLanguage(value):
		return `must be a language tag of BCP 47, such as "de" or "pt-BR"`
	default:
		return ""
	}
}

// validLanguage takes what names a language that is known, and is no larger set of characters than a tag's.
func validLanguage(tag string) bool {
	parsed, err := language.Parse(tag)
	return err == nil && parsed != language.Und && !strings.Contains(tag, "_")
}

func isPages(text string) bool {
	_, ok := ParsePages(text)
	return ok
}

// Range is pages from First to Last, counted from 1.
type Range struct{ First, Last int }

// maxPage is the highest number of a page.
const maxPage = 99999

// ParsePages reads the value of a PageRange: numbers and ranges of pages from 1 to 99999, which may be open at one end. It says
// false when the text is none.
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

// pageNumber reads a number that may be missing.
func pageNumber(text string, missing int) (int, bool) {
	if text == "" {
		return missing, true
	}
	n, err := strconv.ParseUint(text, 10, 17)
	return int(n), err == nil && n >= 1 && n <= maxPage
}

// Fault is what is wrong with an option.
type Fault struct{ Name, Detail string }

// Unsuitable lists what was chosen and means nothing when a document of one of the families becomes the target.
func (c *Chosen) Unsuitable(target string, families ...format.Family) []Fault {
	var faults []Fault
	for _, o := range all() {
		suits := func(family format.Family) bool { return o.Applies(family, target) }
		if c.has(o.Name) && !slices.ContainsFunc(families, suits) {
			faults = append(faults, Fault{o.Name, "does not go with this document and the target " + target})
		}
	}
	return faults
}

// Contradictions lists what was chosen and excludes another choice.
func (c *Chosen) Contradictions() []Fault {
	var faults []Fault
	exclude := func(name string, clash bool, detail string) {
		if clash && c.has(name) {
			faults = append(faults, Fault{name, detail})
		}
	}
	archival := c.options.GetPdfA() != conversionv1.PdfA_PDF_A_UNSPECIFIED
	for _, name := range []string{"user_password", "owner_password", "allow_printing", "allow_changes", "allow_copying"} {
		exclude(name, archival, "does not go with pdf_a: an archival PDF is never encrypted")
	}
	for _, name := range []string{"paper", "orientation", "fit_width"} {
		exclude(name, c.options.GetSinglePageSheets(), "does not go with single_page_sheets, which makes its own paper")
	}
	exclude("image_quality", c.options.GetImageLossless(), "does not go with image_lossless")
	exclude("dpi", c.has("width"), "does not go with width: give one of them")
	exclude("tagged", c.options.GetPdfUa() && !c.options.GetTagged(), "must not be false with pdf_ua")
	exclude("owner_password", c.has("user_password") && c.secrets.GetOwnerPassword() == c.secrets.GetUserPassword(),
		"must differ from user_password: whoever opens the PDF would lift its restrictions")
	return faults
}

func (c *Chosen) has(name string) bool {
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

// Values gives what was chosen as clients write it: booleans, numbers and words by the options' names. It is never nil. What a
// newer version may have chosen besides is left out.
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

// words lists the values of an enum as clients write them, without the first, which is none.
func words(enum protoreflect.EnumDescriptor) []string {
	var all []string
	for i := 1; i < enum.Values().Len(); i++ {
		all = append(all, word(enum, enum.Values().Get(i)))
	}
	return all
}

// word is PDF_A_2B of PdfA as "2b": what begins every value's name, up to the first one's UNSPECIFIED, says nothing.
func word(enum protoreflect.EnumDescriptor, value protoreflect.EnumValueDescriptor) string {
	prefix := strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
	own := strings.TrimPrefix(string(value.Name()), prefix)
	return strings.ReplaceAll(strings.ToLower(own), "_", "-")
}
