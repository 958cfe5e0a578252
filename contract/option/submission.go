package option

import "github.com/docmill/docmill/contract/format"

// The options of a submission that are not options of the conversion.
const (
	// To is the format to convert to.
	To Name = "to"
	// Tag is the client's own label.
	Tag Name = "tag"
)

// MaxTag is the maximum length of a tag, in characters.
const MaxTag = 128

// Offered returns the options that a submission may have, if documents can be converted to the targets. Secret options
// are included only if there is a key to seal them with.
func Offered(targets []string, secrets bool) []Option {
	offered := []Option{
		{Name: To, Kind: Choice, Description: "The format to convert to.", Default: "pdf", Allowed: targets},
		{Name: Tag, Kind: Text, Description: "Your own label, shown with the job.", MaxLength: MaxTag},
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
