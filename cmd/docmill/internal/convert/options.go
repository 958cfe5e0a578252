package convert

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/platform/config"
)

// Flags are the options of the API as flags, made from the table in contract/option: --pdf-a is the option pdf_a.
type Flags struct {
	// Plugins has the struct of the flags, for kong.
	kong.Plugins

	options []option.Option
	values  reflect.Value // a pointer to a struct with a field for each option, in the same order
}

// NewFlags returns flags that are not set.
func NewFlags() Flags {
	options := option.AllOffered()
	fields := make([]reflect.StructField, len(options))
	for i, o := range options {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("Option%d", i), Type: kindOf(o), Tag: tagOf(o)}
	}
	values := reflect.New(reflect.StructOf(fields))
	return Flags{Plugins: kong.Plugins{values.Interface()}, options: options, values: values}
}

// kindOf returns the type of a flag's value. A pointer is nil if the flag is not set: most options have no default,
// because the document decides.
func kindOf(o option.Option) reflect.Type {
	switch o.Kind {
	case option.Boolean:
		return reflect.TypeFor[*bool]()
	case option.Secret:
		return reflect.TypeFor[config.Secret]() // from a file or the environment: every user can read the command line
	default:
		return reflect.TypeFor[*string]()
	}
}

func tagOf(o option.Option) reflect.StructTag {
	tag := fmt.Sprintf(`name:%q help:%q placeholder:%q`, flagName(o), help(o), placeholder(o))
	switch {
	case o.Name == option.To:
		tag += fmt.Sprintf(` short:"t" enum:%q`, strings.Join(o.Allowed, ","))
	case o.Kind == option.Choice:
		tag += fmt.Sprintf(` group:"Options of the conversion:" enum:%q`, strings.Join(o.Allowed, ","))
	case o.Kind == option.Boolean:
		tag += ` group:"Options of the conversion:" negatable:""`
	default:
		tag += ` group:"Options of the conversion:"`
	}
	return reflect.StructTag(tag)
}

func flagName(o option.Option) string {
	name := strings.ReplaceAll(string(o.Name), "_", "-")
	if o.Kind == option.Secret {
		name += "-file"
	}
	return name
}

// help returns what an option does, its values, and what it applies to.
func help(o option.Option) string {
	text := o.Description
	if o.Kind == option.Secret {
		text = "File with the " + strings.ToLower(text[:1]) + text[1:]
	}
	if o.Kind == option.Choice {
		text += " One of: " + strings.Join(o.Allowed, ", ") + "."
	}
	if o.Kind == option.Integer {
		text += fmt.Sprintf(" %d to %d.", o.Minimum, o.Maximum)
	}
	if o.Default != "" {
		text += " Default: " + o.Default + "."
	}
	if families := o.FamilyNames(); len(families) > 0 {
		text += " Only for " + strings.Join(families, ", ") + " documents."
	}
	if len(o.Targets) > 0 {
		text += " Only with --to " + strings.Join(o.Targets, ", ") + "."
	}
	return text
}

func placeholder(o option.Option) string {
	switch o.Kind {
	case option.Secret:
		return "FILE"
	case option.Integer:
		return "N"
	case option.PageRange:
		return "PAGES"
	case option.Language:
		return "TAG"
	case option.Choice:
		return "WORD"
	default:
		return "TEXT"
	}
}

// Values returns the options that are set, with their values in the notation of the API.
func (f Flags) Values() map[string]string {
	values := map[string]string{}
	for i, o := range f.options {
		if value, set := text(f.values.Elem().Field(i)); set {
			values[string(o.Name)] = value
		}
	}
	return values
}

// Check returns an error that lists every flag that is wrong. here means that documents are converted on this machine.
func (f Flags) Check(values map[string]string, here bool) error {
	chosen := option.New()
	var wrong []string
	for _, o := range f.options {
		value, set := values[string(o.Name)]
		if !set {
			continue
		}
		check := chosen.Set
		if o.Name.OfSubmission() {
			check = func(_, value string) error { return checkSubmission(o, value, values, here) }
		}
		if err := check(string(o.Name), value); err != nil {
			wrong = append(wrong, fmt.Sprintf("--%s %v", flagName(o), err))
		}
	}
	for _, violation := range append(f.unsuitable(chosen, values), chosen.Contradictions()...) {
		wrong = append(wrong, "--"+strings.ReplaceAll(violation.Name, "_", "-")+" "+violation.Detail)
	}
	if len(wrong) > 0 {
		return invocation.Errorf(invocation.Usage, "%s (see docmill convert --help)", strings.Join(wrong, "; "))
	}
	return nil
}

// checkSubmission returns what is wrong with an option of the submission.
func checkSubmission(o option.Option, value string, values map[string]string, here bool) error {
	if err := o.CheckSubmission(value); err != nil {
		return err
	}
	_, called := values[string(option.CallbackURL)]
	switch {
	case o.Name.OfCallback() && here:
		return errors.New("needs --server: only a server sends webhooks")
	case o.Name == option.CallbackEvents && !called:
		return errors.New("needs --callback-url")
	default:
		return nil
	}
}

// unsuitable returns the options that apply to no document with this target.
func (f Flags) unsuitable(chosen *option.Chosen, values map[string]string) []option.Violation {
	families := []format.Family{format.Presentation, format.Text, format.Spreadsheet, format.Drawing}
	violations := chosen.Unsuitable(targetOf(values), families...)
	for i := range violations {
		violations[i].Detail = "does not apply to --to " + targetOf(values)
	}
	return violations
}

// targetOf returns the target of a conversion with these options.
func targetOf(values map[string]string) string {
	if to := values[string(option.To)]; to != "" {
		return to
	}
	return format.TargetPDF
}

// text returns the value of a flag in the notation of the API.
func text(flag reflect.Value) (value string, set bool) {
	switch v := flag.Interface().(type) {
	case *bool:
		if v == nil {
			return "", false
		}
		return strconv.FormatBool(*v), true
	case config.Secret:
		return v.Reveal(), v.Reveal() != ""
	case *string:
		if v == nil {
			return "", false
		}
		return *v, true
	default:
		return "", false
	}
}
