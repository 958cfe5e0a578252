package upload

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/document"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/gateway/internal/capabilities"
)

// Options are what a client chose for its job.
type Options struct {
	// To is the format to produce: the identifier of a target that at least one format has.
	To string
	// Tag is the client's own label: at most 128 characters, none of them a control character; may be empty.
	Tag string
	// Chosen are the conversion's own options: each is right by itself, goes with the others, and with To and at least one
	// kind of document.
	Chosen *option.Chosen

	formats []capabilities.Format // that are offered
}

const (
	optionTo  = "to"
	optionTag = "tag"

	maxTag = 128
	// maxValue bounds the value of any option, in bytes: a password of 255 characters of 4 bytes each.
	maxValue = 4 * 255
	// maxShown is how much of a client's own words an answer repeats.
	maxShown = 64
)

// OfferedOptions lists the options that a submission may have.
func (l Limits) OfferedOptions() []option.Option {
	offered := []option.Option{
		{Name: optionTo, Kind: option.Choice, Description: "The format to convert into.", Default: "pdf", Allowed: l.targets()},
		{Name: optionTag, Kind: option.Text, Description: "A label of your own, shown with the job.", MaxLength: maxTag},
	}
	for _, o := range option.All() {
		if o.Kind != option.Secret || l.Secrets {
			offered = append(offered, o)
		}
	}
	return offered
}

// targets lists every format that some document can be converted into.
func (l Limits) targets() []string {
	var ids []string
	for _, format := range l.Formats {
		for _, target := range format.Targets() {
			if !slices.Contains(ids, target.ID) {
				ids = append(ids, target.ID)
			}
		}
	}
	return ids
}

// collector gathers options one by one, and all that is wrong with them, so that the client reads it at once.
type collector struct {
	offered []option.Option
	given   []string
	values  Options
	faults  []problem.Field
}

func newCollector(limits Limits) *collector {
	return &collector{offered: limits.OfferedOptions(), values: Options{To: "pdf", Chosen: option.New(), formats: limits.Formats}}
}

func (c *collector) addQuery(raw string) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		c.fault("(query)", "cannot be read: parameters are separated by & and percent-encoded")
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names) // a map has no order, and answers should not differ by chance
	for _, name := range names[:min(len(names), maxFields)] {
		for _, value := range query[name][:min(len(query[name]), 2)] { // two are enough to be repeated
			if offered, found := c.find(name); found && offered.Kind == option.Secret {
				c.fault(name, "is a secret, which has no place in an address; send it as a field of a form")
				continue
			}
			c.add(name, value)
		}
	}
}

func (c *collector) find(name string) (option.Option, bool) {
	if i := slices.IndexFunc(c.offered, func(o option.Option) bool { return string(o.Name) == name }); i >= 0 {
		return c.offered[i], true
	}
	return option.Option{}, false
}

func (c *collector) add(name, value string) {
	if slices.Contains(c.given, name) {
		c.fault(name, "is given more than once")
		return
	}
	c.given = append(c.given, name)
	if detail := c.take(name, value); detail != "" {
		c.fault(name, detail)
	}
}

// take keeps an option's value, or says what is wrong with it.
func (c *collector) take(name, value string) (fault string) {
	offered, found := c.find(name)
	switch {
	case !found:
		return "is no option; GET /v1/formats lists those that are"
	case len(value) > maxValue:
		return fmt.Sprintf("is longer than %d bytes", maxValue)
	case name == optionTo && !slices.Contains(offered.Allowed, value):
		return "must be one of: " + strings.Join(offered.Allowed, ", ")
	case name == optionTo:
		c.values.To = value
		return ""
	case name == optionTag:
		c.values.Tag = value
		return faultOfTag(value)
	default:
		return c.values.Chosen.Set(name, value)
	}
}

func faultOfTag(tag string) string {
	switch {
	case !utf8.ValidString(tag):
		return "must be UTF-8"
	case utf8.RuneCountInString(tag) > maxTag:
		return fmt.Sprintf("must have at most %d characters", maxTag)
	case strings.ContainsFunc(tag, unicode.IsControl):
		return "must have no control characters"
	default:
		return ""
	}
}

func (c *collector) fault(name, detail string) {
	c.faults = append(c.faults, problem.Field{Name: shorten(name), Detail: detail})
}

// finish gives the options with defaults for those that were not given, or everything that is wrong with them.
func (c *collector) finish() (Options, error) {
	var families []document.Family
	for _, format := range c.values.formats {
		if _, offered := format.Target(c.values.To); offered {
			families = append(families, format.Family)
		}
	}
	for _, fault := range slices.Concat(c.values.Chosen.Unsuitable(c.values.To, families...), c.values.Chosen.Contradictions()) {
		c.fault(fault.Name, fault.Detail)
	}
	if len(c.faults) > 0 {
		return Options{}, problem.New(problem.OptionInvalid, "The request has options that are not valid.").With(c.faults...)
	}
	return c.values, nil
}

// Suit tells why a document of the format cannot be converted with these options, now that it is known, or nil.
func (o Options) Suit(format document.Format) error {
	i := slices.IndexFunc(o.formats, func(f capabilities.Format) bool { return f.ID == format.ID })
	if i < 0 {
		return problem.New(problem.FormatUnsupported, "A document of the kind %s cannot be read by the converters that are at work.", format.ID)
	}
	if _, offered := o.formats[i].Target(o.To); !offered {
		return problem.New(problem.FormatUnsupported, "A document of the kind %s cannot become %s.", format.ID, o.To)
	}
	var fields []problem.Field
	for _, fault := range o.Chosen.Unsuitable(o.To, format.Family) {
		fields = append(fields, problem.Field{Name: fault.Name, Detail: fault.Detail})
	}
	if len(fields) == 0 {
		return nil
	}
	return problem.New(problem.OptionInvalid, "The document is a %s, and the request has options that are not for such.", format.Title).With(fields...)
}

// shorten makes a client's word fit to be repeated in an answer.
func shorten(word string) string {
	word = strings.ToValidUTF8(word, "\ufffd")
	if len(word) <= maxShown {
		return word
	}
	cut := maxShown
	for !utf8.RuneStart(word[cut]) {
		cut--
	}
	return word[:cut] + "…"
}
