package upload

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

// Options are the options that a client has set for a job.
type Options struct {
	// To is the format to produce: the identifier of a target that at least one format has.
	To string
	// Tag is the client's own label: at most 128 characters, without control characters; may be empty.
	Tag string
	// Callback is where the end of the job is reported; nil if the client wants no report.
	Callback *Callback
	// Retention is how long the files are kept after the end of the job; 0 if the client did not request a time.
	Retention time.Duration
	// Chosen are the options of the conversion: each is valid, and compatible with the others, with To and with at least
	// one kind of document.
	Chosen *option.Chosen

	formats []fleet.Format // the supported formats
}

// Callback says where and about which events the client wants webhooks.
type Callback struct {
	URL string
	// Events are the types of the events to report. There is at least one.
	Events []string
}

// maxValue is the maximum length of the value of an option, in bytes. Passwords have at most 255 characters of 4 bytes each.
const maxValue = option.MaxCallbackURL

// collector collects options and everything that is wrong with them, so that the client gets all errors together.
type collector struct {
	offered []option.Option
	given   []string
	values  Options
	invalid []problem.Field

	callbackURL    string
	callbackEvents []string // nil if they are not given
}

func newCollector(limits Limits) *collector {
	return &collector{
		offered: limits.Offer.Options(limits.Secrets, limits.Webhooks), values: Options{To: "pdf", Chosen: option.New(), formats: limits.Offer.Formats},
	}
}

func (c *collector) addQuery(raw string) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		c.reject("(query)", "cannot be parsed: parameters must be separated by & and percent-encoded")
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names) // responses should not depend on the order of a map
	for _, name := range names[:min(len(names), maxFields)] {
		for _, value := range query[name][:min(len(query[name]), 2)] { // two are enough for an error
			if offered, found := c.find(name); found && offered.Kind == option.Secret {
				c.reject(name, "must not be sent in the URL; send it as a form field")
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
		c.reject(name, "is set more than once")
		return
	}
	c.given = append(c.given, name)
	if err := c.set(name, value); err != nil {
		c.reject(name, err.Error())
	}
}

// set stores an option's value, or returns what is wrong with it.
func (c *collector) set(name, value string) error {
	offered, found := c.find(name)
	switch {
	case !found && option.Name(name).OfCallback():
		return errors.New("is not available: this server sends no webhooks")
	case !found:
		return errors.New("unknown option; see GET /v1/formats")
	case len(value) > maxValue:
		return fmt.Errorf("is longer than %d bytes", maxValue)
	case offered.Kind == option.Choice && !slices.Contains(offered.Allowed, value):
		return errors.New("must be one of: " + strings.Join(offered.Allowed, ", "))
	case offered.Name.OfSubmission():
		return c.setOfSubmission(offered, value)
	default:
		return c.values.Chosen.Set(name, value)
	}
}

// setOfSubmission is set for an option of the submission.
func (c *collector) setOfSubmission(offered option.Option, value string) (err error) {
	if err := offered.CheckSubmission(value); err != nil {
		return err
	}
	switch offered.Name {
	case option.To:
		c.values.To = value
	case option.Tag:
		c.values.Tag = value
	case option.CallbackURL:
		c.callbackURL = value
	case option.CallbackEvents:
		c.callbackEvents, err = option.ParseCallbackEvents(value)
	case option.ExpiresIn:
		var seconds int32
		seconds, err = offered.Integer(value)
		c.values.Retention = time.Duration(seconds) * time.Second
	default:
	}
	return err
}

func (c *collector) reject(name, detail string) {
	c.invalid = append(c.invalid, problem.Field{Name: problem.Excerpt(name), Detail: detail})
}

// finish returns the options, with defaults for those that are not set, or everything that is wrong with them.
func (c *collector) finish() (Options, error) {
	var families []format.Family
	for _, format := range c.values.formats {
		if _, offered := format.Target(c.values.To); offered {
			families = append(families, format.Family)
		}
	}
	for _, violation := range slices.Concat(c.values.Chosen.Unsuitable(c.values.To, families...), c.values.Chosen.Contradictions()) {
		c.reject(violation.Name, violation.Detail)
	}
	c.setCallback()
	if len(c.invalid) > 0 {
		return Options{}, problem.New(problem.OptionInvalid, "The request has invalid options.").With(c.invalid...)
	}
	return c.values, nil
}

// setCallback sets the callback from the two options.
func (c *collector) setCallback() {
	switch {
	case c.callbackURL != "":
		c.values.Callback = &Callback{URL: c.callbackURL, Events: c.callbackEvents}
		if c.callbackEvents == nil {
			c.values.Callback.Events = option.AllCallbackEvents()
		}
	case c.callbackEvents != nil && !slices.Contains(c.given, string(option.CallbackURL)):
		c.reject(string(option.CallbackEvents), "requires callback_url")
	}
}

// Suit returns nil if a document of the format can be converted with these options, or the reason why not.
func (o Options) Suit(found format.Format) error {
	i := slices.IndexFunc(o.formats, func(f fleet.Format) bool { return f.ID == found.ID })
	if i < 0 {
		return problem.New(problem.FormatUnsupported, "The running converters do not support documents of the format %s.", found.ID)
	}
	if _, offered := o.formats[i].Target(o.To); !offered {
		return problem.New(problem.FormatUnsupported, "Documents of the format %s cannot be converted to %s.", found.ID, o.To)
	}
	var fields []problem.Field
	for _, violation := range o.Chosen.Unsuitable(o.To, found.Family) {
		fields = append(fields, problem.Field{Name: violation.Name, Detail: violation.Detail})
	}
	if len(fields) == 0 {
		return nil
	}
	return problem.New(problem.OptionInvalid, "The request has options that do not apply to a %s.", found.Title).With(fields...)
}
