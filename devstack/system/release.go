package system

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Release is the programs of one release.
type Release struct {
	// Binaries is the directory of the programs; see [Build].
	Binaries string
	// Earlier means that the programs do not have all settings of this release. They get only the settings that they know,
	// because they do not start with an unknown one.
	Earlier bool
}

func (r Release) path(program Program) string { return filepath.Join(r.Binaries, program.Binary) }

// variables finds the environment variables of the settings in the output of --help.
var variables = regexp.MustCompile(`\$DOCMILL_[A-Z0-9_]+`)

// accepted returns the environment without the settings that the program does not know.
func (r Release) accepted(ctx context.Context, program Program, env []string) ([]string, error) {
	if !r.Earlier {
		return env, nil
	}
	help, err := exec.CommandContext(ctx, r.path(program), append(slices.Clone(program.Args), "--help")...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("list the settings of %s: %w:\n%s", program.Binary, err, help)
	}
	known := variables.FindAllString(string(help), -1)
	return slices.DeleteFunc(env, func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		return strings.HasPrefix(name, "DOCMILL_") && !slices.Contains(known, "$"+name)
	}), nil
}
