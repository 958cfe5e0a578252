// Package settings checks the settings of containers by running the programs in them: each parses the very environment and
// arguments that its container has.
package settings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Container is what a program of Docmill gets from its container.
type Container struct {
	// Name is for messages.
	Name string
	// Program is the name of the program, such as docmill-gateway, and Arguments are those after it.
	Program   string
	Arguments []string
	// Environment are the variables, and Files the contents of mounted files by their paths.
	Environment map[string]string
	Files       map[string]string
}

// invalidSettings is the exit code of a program whose settings are invalid.
const invalidSettings = 2

// Programs are the programs of the three services.
type Programs struct {
	directory string
	// help has the help of each program, by its name.
	help map[string]string
}

// Load returns the programs in a directory.
func Load(ctx context.Context, directory string) (Programs, error) {
	help := map[string]string{}
	for _, name := range []string{"docmill-gateway", "docmill-converter", "docmill-status"} {
		output, err := exec.CommandContext(ctx, filepath.Join(directory, name), "--help").Output()
		if err != nil {
			return Programs{}, fmt.Errorf("read the help of %s: %w", name, err)
		}
		help[name] = string(output)
	}
	return Programs{directory: directory, help: help}, nil
}

// Check returns the error of a program about the settings of a container.
func (p Programs) Check(ctx context.Context, container Container) error {
	root, err := os.MkdirTemp("", "container-")
	if err != nil {
		return fmt.Errorf("make a directory for the files of a container: %w", err)
	}
	defer os.RemoveAll(root)
	if err := writeFiles(root, container.Files); err != nil {
		return err
	}
	// A health check reads all settings, and then fails because the service does not run.
	command := exec.CommandContext(ctx, filepath.Join(p.directory, container.Program), append([]string{"healthcheck"}, container.Arguments...)...)
	for _, name := range slices.Sorted(maps.Keys(container.Environment)) {
		command.Env = append(command.Env, name+"="+moved(root, container, container.Environment[name]))
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	err = command.Run()
	failed := new(exec.ExitError)
	if errors.As(err, &failed) && failed.ExitCode() != invalidSettings {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", container.Name, err, stderr.String())
	}
	return nil
}

func writeFiles(root string, files map[string]string) error {
	for path, content := range files {
		target := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return fmt.Errorf("make a directory for %s: %w", path, err)
		}
		if err := os.WriteFile(target, []byte(content), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// moved returns the path of a file of the container below root, and other values unchanged.
func moved(root string, container Container, value string) string {
	for path := range container.Files {
		if value == path || strings.HasPrefix(value, filepath.Dir(path)+"/") {
			return filepath.Join(root, value)
		}
	}
	return value
}

// value returns a setting of a program: that of the container's environment, or the default that the help lists.
func (p Programs) value(container Container, flag string) (string, error) {
	variable := "DOCMILL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if value, set := container.Environment[variable]; set {
		return value, nil
	}
	found := regexp.MustCompile(`--` + flag + `=(\S+)`).FindStringSubmatch(p.help[container.Program])
	if found == nil {
		return "", fmt.Errorf("%s has no setting %s", container.Program, flag)
	}
	return found[1], nil
}
