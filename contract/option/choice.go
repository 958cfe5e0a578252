package option

import (
	"errors"
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

// Set sets an option. Its error describes what is wrong with the value, in words that follow the option's name in a
// sentence. The error never repeats the value.
func (c *Chosen) Set(name, value string) error {
	o, found := find(Name(name))
	if !found {
		return errors.New("is not an option")
	}
	field, secret := fieldOf(o.Name)
	parsed, err := o.parse(field, value)
	if err != nil {
		return err
	}
	if secret {
		c.secrets.ProtoReflect().Set(field, parsed)
	} else {
		c.options.ProtoReflect().Set(field, parsed)
	}
	return nil
}

// parse returns a value in the type of its field.
func (o Option) parse(field protoreflect.FieldDescriptor, value string) (parsed protoreflect.Value, err error) {
	switch o.Kind {
	case Boolean:
		if value != "true" && value != "false" {
			return parsed, errors.New("must be true or false")
		}
		return protoreflect.ValueOfBool(value == "true"), nil
	case Integer:
		n, err := o.Integer(value)
		return protoreflect.ValueOfInt32(n), err
	case Choice:
		i := slices.Index(o.Allowed, value)
		if i < 0 {
			return parsed, errors.New("must be one of: " + strings.Join(o.Allowed, ", "))
		}
		return protoreflect.ValueOfEnum(field.Enum().Values().Get(i + 1).Number()), nil
	default:
		return protoreflect.ValueOfString(value), o.validateText(value)
	}
}

// Integer returns a value of an option of the kind Integer. Its error is one of [Chosen.Set].
func (o Option) Integer(value string) (int32, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < int64(o.Minimum) || n > int64(o.Maximum) {
		return 0, fmt.Errorf("must be a whole number from %d to %d", o.Minimum, o.Maximum)
	}
	return int32(n), nil
}

// Unsupported returns the name of the first option in a message, Options or Secrets, whose value this release does not
// accept, such as a number out of range or a page range in a newer notation. It returns an empty name if there is none. It
// does not check enums.
func Unsupported(options protoreflect.Message) Name {
	for _, o := range all() {
		field := options.Descriptor().Fields().ByName(protoreflect.Name(o.Name))
		if field != nil && options.Has(field) && !o.accepts(options.Get(field)) {
			return o.Name
		}
	}
	return ""
}

// accepts reports whether a value, of the type of its field, is valid.
func (o Option) accepts(value protoreflect.Value) bool {
	switch o.Kind {
	case Boolean, Choice:
		return true
	case Integer:
		return value.Int() >= int64(o.Minimum) && value.Int() <= int64(o.Maximum)
	default:
		return o.validateText(value.String()) == nil
	}
}

func (o Option) validateText(value string) error {
	switch {
	case value == "":
		return errors.New("must not be empty")
	case !utf8.ValidString(value):
		return errors.New("must be UTF-8")
	case utf8.RuneCountInString(value) > o.MaxLength:
		return fmt.Errorf("must have at most %d characters", o.MaxLength)
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("must not contain control characters")
	case o.Kind == PageRange && !isPages(value):
		return errors.New(`must list pages, counted from 1, such as "1-3,5,8-"`)
	case o.Kind == Language && !validLanguage(value):
		return errors.New(`must be a BCP 47 language tag, such as "de" or "pt-BR"`)
	default:
		return nil
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

// Violation is a rule that a chosen option breaks. Detail follows the option's name in a sentence.
type Violation struct{ Name, Detail string }

// Unsuitable lists the chosen options that do not apply to any of the families with the target.
func (c *Chosen) Unsuitable(target string, families ...format.Family) []Violation {
	var violations []Violation
	for _, o := range all() {
		suits := func(family format.Family) bool { return o.Applies(family, target) }
		if c.has(o.Name) && !slices.ContainsFunc(families, suits) {
			violations = append(violations, Violation{string(o.Name), "does not apply when converting this document to " + target})
		}
	}
	return violations
}

// Contradictions lists the chosen options that exclude each other.
func (c *Chosen) Contradictions() []Violation {
	var violations []Violation
	exclude := func(name Name, clash bool, detail string) {
		if clash && c.has(name) {
			violations = append(violations, Violation{string(name), detail})
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
	return violations
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
