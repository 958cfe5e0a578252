package option

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docmill/docmill/contract/format"
)

// The options of a submission that are not options of the conversion.
const (
	// To is the format to convert to.
	To Name = "to"
	// Tag is the client's own label.
	Tag Name = "tag"
	// CallbackURL is where the end of the job is reported.
	CallbackURL Name = "callback_url"
	// CallbackEvents are the events that are reported.
	CallbackEvents Name = "callback_events"
	// ExpiresIn is how long the files of the job are kept after its end.
	ExpiresIn Name = "expires_in"
)

// OfSubmission reports whether the option is one of the submission, not of the conversion.
func (n Name) OfSubmission() bool { return n == To || n == Tag || n == ExpiresIn || n.OfCallback() }

// OfCallback reports whether the option is for webhooks.
func (n Name) OfCallback() bool { return n == CallbackURL || n == CallbackEvents }

// CheckSubmission checks a value of the option, which must be one of the submission. The text of the error follows the name of the option
// in a sentence, and does not repeat the value.
func (o Option) CheckSubmission(value string) error {
	switch o.Name {
	case Tag:
		return checkTag(value)
	case CallbackURL:
		return CheckCallbackURL(value)
	case CallbackEvents:
		_, err := ParseCallbackEvents(value)
		return err
	case ExpiresIn:
		_, err := o.Integer(value)
		return err
	default:
		if o.Kind == Choice && !slices.Contains(o.Allowed, value) {
			return errors.New("must be one of: " + strings.Join(o.Allowed, ", "))
		}
		return nil
	}
}

func checkTag(tag string) error {
	switch {
	case !utf8.ValidString(tag):
		return errors.New("must be UTF-8")
	case utf8.RuneCountInString(tag) > MaxTag:
		return fmt.Errorf("must have at most %d characters", MaxTag)
	case strings.ContainsFunc(tag, unicode.IsControl):
		return errors.New("must not contain control characters")
	default:
		return nil
	}
}

// MaxTag is the maximum length of a tag, in characters.
const MaxTag = 128

// The limits of ExpiresIn, in seconds: a minute, to leave time for fetching the result, and a year.
const (
	MinExpiresIn = 60
	MaxExpiresIn = 365 * 24 * 60 * 60
)

// Offered returns the options that a submission may have, if documents can be converted to the targets. Secret options
// are included only if there is a key to seal them with.
func Offered(targets []string, secrets bool) []Option {
	offered := []Option{
		{Name: To, Kind: Choice, Description: "The format to convert to.", Default: "pdf", Allowed: targets},
		{Name: Tag, Kind: Text, Description: "Your own label, shown with the job.", MaxLength: MaxTag},
		{
			Name: CallbackURL, Kind: Text, MaxLength: MaxCallbackURL,
			Description: "The http or https URL that receives a webhook when the job ends.",
		},
		{
			Name: CallbackEvents, Kind: Text, MaxLength: maxCallbackEvents, Default: strings.Join(callbackEvents, ","),
			Description: "The events that are reported to callback_url, separated by commas: " + strings.Join(callbackEvents, ", ") + ".",
		},
		{
			Name: ExpiresIn, Kind: Integer, Minimum: MinExpiresIn, Maximum: MaxExpiresIn,
			Description: "How many seconds after the end of the job its files are deleted. The server may delete them earlier: see expires_at of the job.",
		},
	}
	for _, o := range all() {
		if o.Kind != Secret || secrets {
			offered = append(offered, o)
		}
	}
	return offered
}

// AllOffered returns what [Offered] returns for all targets and with secrets.
func AllOffered() []Option {
	var targets []string
	for target := range format.AllTargets() {
		targets = append(targets, target.ID)
	}
	return Offered(targets, true)
}
