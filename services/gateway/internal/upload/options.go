package upload

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/platform/document"
	"github.com/docmill/docmill/platform/problem"
)

// Options are what a client chose for its job.
type Options struct {
	// To is the format to produce: the identifier of a target that at least one format has.
	To string
	// Tag is the client's own label: at most 128 characters, none of them a control character; may be empty.
	Tag string
}

// Option describes an option to clients.
type Option struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Default     string   `json:"default"`
	Allowed     []string `json:"allowed,omitempty"`
	MaxLength   int      `json:"max_length,omitempty"`
}

const (
	optionTo  = "to"
	optionTag = "tag"

	maxTag = 128
	// maxValue bounds the value of any option, in bytes: a tag of 128 characters of 4 bytes each.
	maxValue = 4 * maxTag
	// maxShown is how much of a client's own words an answer repeats.
	maxShown = 64
)

// OfferedOptions lists the options that a submission may have.
func OfferedOptions() []Option {
	return []Option{
		{Name: optionTo, Description: "The format to convert into.", Default: "pdf", Allowed: targets()},
		{Name: optionTag, Description: "A label of your own, shown with the job. No control characters.", MaxLength: maxTag},
	}
}

// targets lists every format that some document can be converted into.
func targets() []string {
	var ids []string
	for _, format := range document.Formats() {
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
	given  []string
	values Options
	faults []problem.Field
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
			c.add(name, value)
		}
	}
}

func (c *collector) add(name, value string) {
	switch {
	case slices.Contains(c.given, name):
		c.fault(name, "is given more than once")
		return
	case len(value) > maxValue:
		c.fault(name, fmt.Sprintf("is longer than %d bytes", maxValue))
	case name == optionTo:
		c.values.To = value
		if allowed := targets(); !slices.Contains(allowed, value) {
			c.fault(name, "must be one of: "+strings.Join(allowed, ", "))
		}
	case name == optionTag:
		c.values.Tag = value
		if detail := faultOfTag(value); detail != "" {
			c.fault(name, detail)
		}
	default:
		c.fault(name, "is no option; there are: "+strings.Join([]string{optionTo, optionTag}, ", "))
	}
	c.given = append(c.given, name)
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
	if len(c.faults) > 0 {
		return Options{}, problem.New(problem.OptionInvalid, "The request has options that are not valid.").With(c.faults...)
	}
	options := c.values
	if options.To == "" {
		options.To = "pdf"
	}
	return options, nil
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
