// Package config fills a service's configuration struct from, in order of precedence, command-line flags, DOCMILL_*
// environment variables, an optional YAML file and the defaults in the struct's tags. Unknown settings are errors: one
// that is silently ignored is noticed only in production.
package config

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// envPrefix is the prefix of all environment variables that Docmill reads.
const envPrefix = "DOCMILL_"

// Source is where settings come from. The zero value has defaults only; Process returns that of the running process.
type Source struct {
	// Args are the command-line arguments without the program's name.
	Args []string
	// Environ is the environment in the form KEY=value, like os.Environ.
	Environ []string
	// Stdout receives the output of --help; Exit is called after it.
	Stdout io.Writer
	Exit   func(code int)
}

// Process returns the command line and environment of the running process.
func Process() Source {
	return Source{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Exit: os.Exit}
}

// file is the setting that Parse adds to those of every service.
type file struct {
	Config string `name:"config" help:"YAML file with settings, by the names of the flags. Flags and environment variables take precedence." placeholder:"FILE" type:"path"`
}

// Validator is implemented by settings, and groups of settings, that can be invalid in ways that their types do not
// catch. Parse calls it on the settings and on each struct inside them, and reports all errors together.
type Validator interface{ Validate() error }

// Defaults are defaults that differ between services: the tag default:"${x}" stands for the value of x.
type Defaults = kong.Vars

// Parse fills settings, a pointer to a struct with kong's tags, from src. Fields of the type Secret are read from the
// environment or from a file, never from the command line. The error says which setting is invalid and how to correct
// it, and is meant to be printed.
func Parse(name, description string, settings any, src Source, defaults ...Defaults) error {
	_, err := ParseCommands(name, description, settings, src, defaults...)
	return err
}

// ParseCommands is [Parse] for a program with commands, which are fields of the settings with kong's tag cmd. It returns
// kong's context, which knows the selected command. A variable of the environment, or a setting in the file, is known if
// any of the commands has it: the same environment serves all of them.
func ParseCommands(name, description string, commands any, src Source, defaults ...Defaults) (*kong.Context, error) {
	vars := kong.Vars{}
	for _, more := range defaults {
		maps.Copy(vars, more)
	}
	parser, err := kong.New(&file{},
		vars,
		kong.Name(name),
		kong.Description(description+"\n\nEvery flag --some-name is also read from the environment variable DOCMILL_SOME_NAME."),
		kong.Embed(commands),
		kong.Writers(src.Stdout, src.Stdout),
		kong.Exit(src.Exit),
		kong.ValueFormatter(withEnvironment),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return nil, fmt.Errorf("build the settings of %s: %w", name, err)
	}
	if !asksForHelp(src.Args) { // help is most needed when a setting is wrong
		env, err := environment(parser.Model, src.Environ)
		if err != nil {
			return nil, err
		}
		if err := resolve(parser, src.Args, env); err != nil {
			return nil, err
		}
	}
	parsed, err := parser.Parse(src.Args)
	if err != nil {
		return nil, fmt.Errorf("%w (see %s --help)", err, commandOf(name, err))
	}
	problems := []error{validate(reflect.ValueOf(commands).Elem())}
	for node := parsed.Selected(); node != nil && node.Type != kong.ApplicationNode; node = node.Parent {
		problems = append(problems, validate(node.Target))
	}
	return parsed, errors.Join(problems...)
}

func asksForHelp(args []string) bool {
	return slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

// commandOf returns the program's name, with the command that could not be parsed, if there is one.
func commandOf(name string, err error) string {
	if failed, ok := errors.AsType[*kong.ParseError](err); ok {
		if node := failed.Context.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return name
}

// validate validates every struct in the tree, inner ones first. Kong itself validates commands and arguments only.
func validate(settings reflect.Value) error {
	var problems []error
	for i := range settings.NumField() {
		kind := settings.Type().Field(i)
		if _, isCommand := kind.Tag.Lookup("cmd"); isCommand { // validated if it was selected
			continue
		}
		if field := settings.Field(i); field.Kind() == reflect.Struct && kind.IsExported() {
			problems = append(problems, validate(field))
		}
	}
	// A method promoted from an embedded struct has already been called on that struct.
	if v, ok := reflect.TypeAssert[Validator](settings.Addr()); ok && !promoted(settings.Type()) {
		problems = append(problems, v.Validate())
	}
	return errors.Join(problems...)
}

// promoted reports whether the Validate of a struct is that of an embedded struct.
func promoted(t reflect.Type) bool {
	for field := range t.Fields() {
		if field.Anonymous && reflect.PointerTo(field.Type).Implements(reflect.TypeFor[Validator]()) {
			return true
		}
	}
	return false
}

// resolve adds the file and then the environment: in kong the last resolver takes precedence, and flags over all of
// them.
func resolve(parser *kong.Kong, args []string, env values) error {
	if path := configPath(args, env); path != "" {
		file, err := readFile(parser.Model, path)
		if err != nil {
			return fmt.Errorf("setting config: %w", err)
		}
		if err := kong.Resolvers(file).Apply(parser); err != nil {
			return fmt.Errorf("apply the settings of %s: %w", path, err)
		}
	}
	if err := kong.Resolvers(env).Apply(parser); err != nil {
		return fmt.Errorf("apply the settings of the environment: %w", err)
	}
	return nil
}

// configPath returns the file's name before kong parses the arguments, because the file's values take part in that.
func configPath(args []string, env values) string {
	for i, arg := range args {
		if value, found := strings.CutPrefix(arg, "--config="); found {
			return value
		}
		if arg == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return env["config"]
}

// values maps a flag's name to its value in the file or the environment.
type values map[string]string

// readFile reads a flat YAML mapping of flag names to scalars.
func readFile(model *kong.Application, path string) (values, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries map[string]yaml.Node
	if err := yaml.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("%s is not a YAML mapping of settings: %w", path, err)
	}
	known := map[string]bool{}
	for flag := range flags(model.Node) {
		known[flag.Name] = true
	}
	found := values{}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		node := entries[name]
		switch {
		case !known[name]:
			problems = append(problems, fmt.Errorf("%s: unknown setting %s (see --help)", path, name))
		case node.Kind != yaml.ScalarNode:
			problems = append(problems, fmt.Errorf("%s: setting %s needs a single value", path, name))
		default:
			found[name] = node.Value
		}
	}
	return found, errors.Join(problems...)
}

// environment reads all DOCMILL_* variables and rejects unknown ones.
func environment(model *kong.Application, environ []string) (values, error) {
	known := map[string]*kong.Flag{}
	for flag := range flags(model.Node) {
		known[envName(flag.Name)] = flag
		if isSecret(flag) {
			known[strings.TrimSuffix(envName(flag.Name), "_FILE")] = flag
		}
	}
	found := values{}
	var problems []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		flag := known[name]
		switch {
		case flag == nil:
			problems = append(problems, fmt.Errorf("unknown environment variable %s (see --help)", name))
		case found[flag.Name] != "":
			problems = append(problems, fmt.Errorf("environment variable %s: the secret is set twice, as a value and as a file; set only one", name))
		case isSecret(flag) && name != envName(flag.Name):
			found[flag.Name] = literal + value
		default:
			found[flag.Name] = value
		}
	}
	return found, errors.Join(problems...)
}

// flags returns the flags of a node and of all commands below it.
func flags(node *kong.Node) iter.Seq[*kong.Flag] {
	return func(yield func(*kong.Flag) bool) {
		for _, flag := range node.Flags {
			if !yield(flag) {
				return
			}
		}
		for _, command := range node.Children {
			for flag := range flags(command) {
				if !yield(flag) {
					return
				}
			}
		}
	}
}

// Validate does nothing: unknown names were rejected when they were read.
func (values) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag, or nil.
func (v values) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if value, set := v[flag.Name]; set {
		return value, nil
	}
	return nil, nil //nolint:nilnil // for kong this means "not set"
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// withEnvironment appends the environment variable that sets a flag to the flag's help.
func withEnvironment(value *kong.Value) string {
	help := value.Help
	if value.Flag == nil || value.Name == "help" {
		return help
	}
	name := envName(value.Name)
	if isSecret(value.Flag) {
		name = strings.TrimSuffix(name, "_FILE") + " (the value) or $" + name
	}
	return help + " ($" + name + ")"
}
