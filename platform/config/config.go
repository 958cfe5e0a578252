// Package config fills a service's one configuration struct from, in order of precedence, command-line flags, DOCMILL_*
// environment variables, an optional YAML file and the defaults in the struct's tags. What it does not know, it refuses:
// a setting that is silently ignored is found out in production.
package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the name of every environment variable that Docmill reads.
const envPrefix = "DOCMILL_"

// Source is where settings come from. The zero value reads nothing but defaults; Process gives the real one.
type Source struct {
	// Args are the command line's words without the program's name.
	Args []string
	// Environ is the environment as KEY=value, as os.Environ gives it.
	Environ []string
	// Stdout receives --help; Exit is called after it.
	Stdout io.Writer
	Exit   func(code int)
}

// Process is the running process's own command line and environment.
func Process() Source {
	return Source{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Exit: os.Exit}
}

// file is the one setting that every service has besides its own.
type file struct {
	Config string `name:"config" help:"YAML file with settings: the same names as the flags. Flags and environment win over it." placeholder:"FILE" type:"path"`
}

// Validator is implemented by settings, and groups of settings, that can be wrong in ways that a type does not catch.
// Parse calls it on the settings and on each struct inside them, and reports all errors at once.
type Validator interface{ Validate() error }

// Defaults are defaults that differ from service to service: a tag default:"${x}" stands for the value of x.
type Defaults = kong.Vars

// Parse fills settings, a pointer to a struct with kong's tags, from src. Struct fields of the type Secret read their value
// from the environment or from a file, never from the command line. The error says which setting is wrong and how to
// mend it, and is meant to be printed as it is.
func Parse(name, description string, settings any, src Source, defaults ...Defaults) error {
	top := file{}
	vars := kong.Vars{}
	for _, more := range defaults {
		maps.Copy(vars, more)
	}
	parser, err := kong.New(&top,
		vars,
		kong.Name(name),
		kong.Description(description+"\n\nEvery flag --some-name is also read from the environment variable DOCMILL_SOME_NAME."),
		kong.Embed(settings),
		kong.Writers(src.Stdout, src.Stdout),
		kong.Exit(src.Exit),
		kong.ValueFormatter(withEnvironment),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return fmt.Errorf("build the settings of %s: %w", name, err)
	}
	env, err := environment(parser.Model, src.Environ)
	if err != nil {
		return err
	}
	if err := resolve(parser, src.Args, env); err != nil {
		return err
	}
	if _, err := parser.Parse(src.Args); err != nil {
		return fmt.Errorf("%w (see %s --help)", err, name)
	}
	return validate(reflect.ValueOf(settings).Elem())
}

// validate asks every struct in the tree, inner ones first. Kong itself asks commands and arguments only.
func validate(settings reflect.Value) error {
	var problems []error
	for i := range settings.NumField() {
		if field := settings.Field(i); field.Kind() == reflect.Struct && settings.Type().Field(i).IsExported() {
			problems = append(problems, validate(field))
		}
	}
	// Promoted methods of an embedded struct are that struct's own and have been asked.
	if v, ok := reflect.TypeAssert[Validator](settings.Addr()); ok && !promoted(settings.Type()) {
		problems = append(problems, v.Validate())
	}
	return errors.Join(problems...)
}

// promoted tells whether a struct has its Validate from a struct that it embeds.
func promoted(t reflect.Type) bool {
	for field := range t.Fields() {
		if field.Anonymous && reflect.PointerTo(field.Type).Implements(reflect.TypeFor[Validator]()) {
			return true
		}
	}
	return false
}

// resolve installs the file and then the environment: kong lets the last resolver win, and flags win over all of them.
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

// configPath finds the file's name before the real parse, because its values take part in that parse.
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

// values maps a flag's name to the value that the file or the environment has for it.
type values map[string]string

// readFile reads a flat YAML mapping from flags' names to scalars.
func readFile(model *kong.Application, path string) (values, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries map[string]yaml.Node
	if err := yaml.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("%s is no YAML mapping of settings: %w", path, err)
	}
	known := map[string]*kong.Flag{}
	for _, flag := range flags(model) {
		known[flag.Name] = flag
	}
	found := values{}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		node := entries[name]
		switch {
		case known[name] == nil:
			problems = append(problems, fmt.Errorf("%s: %s is no setting of this service%s", path, name, didYouMean(name, known)))
		case node.Kind != yaml.ScalarNode:
			problems = append(problems, fmt.Errorf("%s: %s needs a single value", path, name))
		default:
			found[name] = node.Value
		}
	}
	return found, errors.Join(problems...)
}

// environment reads all DOCMILL_* variables and refuses those that no setting has.
func environment(model *kong.Application, environ []string) (values, error) {
	known := map[string]*kong.Flag{}
	for _, flag := range flags(model) {
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
			problems = append(problems, fmt.Errorf("environment variable %s is no setting of this service%s", name, didYouMean(name, known)))
		case found[flag.Name] != "":
			problems = append(problems, fmt.Errorf("environment variable %s: the secret is given twice, as a value and as a file; give one", name))
		case isSecret(flag) && name != envName(flag.Name):
			found[flag.Name] = literal + value
		default:
			found[flag.Name] = value
		}
	}
	return found, errors.Join(problems...)
}

// flags lists the settings, which have no subcommands: all flags of the one level.
func flags(model *kong.Application) []*kong.Flag {
	return slices.Concat(model.AllFlags(false)...)
}

// Validate does nothing: unknown names were refused when they were read.
func (values) Validate(*kong.Application) error { return nil }

// Resolve gives the value for one flag, or nil.
func (v values) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if value, set := v[flag.Name]; set {
		return value, nil
	}
	return nil, nil //nolint:nilnil // kong's way to say "not set"
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// didYouMean names the setting that shares the longest beginning with an unknown one.
func didYouMean(name string, known map[string]*kong.Flag) string {
	best, longest := "", 2
	prefixed := 0
	if strings.HasPrefix(name, envPrefix) {
		prefixed = len(envPrefix)
	}
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		n := 0
		for n < len(name) && n < len(candidate) && name[n] == candidate[n] {
			n++
		}
		if shared := n - prefixed; shared > longest {
			best, longest = candidate, shared
		}
	}
	if best == "" {
		return "; --help lists those that are"
	}
	return "; did you mean " + best + "?"
}

// withEnvironment ends each flag's help with the environment variable that sets it.
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
