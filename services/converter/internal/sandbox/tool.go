package sandbox

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
)

// Tool is an external program that a package depends on.
type Tool struct {
	// Name is the name of its file on the search path.
	Name string
	// Package is the Debian package that contains it.
	Package string
}

// Find looks for the tool on the search path. Its error names the package to install.
func (t Tool) Find() (Program, error) {
	path, err := exec.LookPath(t.Name)
	if err != nil {
		return Program{}, fmt.Errorf("the program %s is missing; install the package %s: %w", t.Name, t.Package, err)
	}
	return Program{name: t.Name, path: path}, nil
}

// FindAll looks for several tools and returns them in the same order.
func FindAll(tools ...Tool) ([]Program, error) {
	programs := make([]Program, len(tools))
	for i, tool := range tools {
		var err error
		if programs[i], err = tool.Find(); err != nil {
			return nil, err
		}
	}
	return programs, nil
}

// Program is a tool that was found.
type Program struct{ name, path string }

// Path returns the path of the program's file.
func (p Program) Path() string { return p.path }

// Run runs the program; see [Run]. It sets the command's Path, and its Env where there is none. If something else has
// killed the program, the error is [ErrKilled].
func (p Program) Run(ctx context.Context, command Command) (Exit, error) {
	command.Path = p.path
	if command.Env == nil {
		command.Env = []string{"LANG=C.UTF-8"}
	}
	exit, err := Run(ctx, command)
	if err != nil {
		return exit, fmt.Errorf("run %s: %w", p.name, err)
	}
	if FromOutside(exit.Signal) {
		return exit, fmt.Errorf("run %s: %w (signal %d)", p.name, ErrKilled, exit.Signal)
	}
	return exit, nil
}

// Output runs the program with its standard output kept apart, up to limit bytes, and returns that. A program that
// exits with a code other than 0 is an [*ExitError].
func (p Program) Output(ctx context.Context, limit int, command Command) (string, error) {
	command.MaxStdout = limit
	exit, err := p.Run(ctx, command)
	if err != nil {
		return "", err
	}
	return exit.Stdout, p.Failure(exit)
}

// Failure returns nil for the exit code 0, or one of codes, and otherwise an [*ExitError].
func (p Program) Failure(exit Exit, codes ...int) error {
	if exit.Code == 0 || slices.Contains(codes, exit.Code) {
		return nil
	}
	return &ExitError{Program: p.name, Exit: exit}
}

// ExitError describes how a program failed.
type ExitError struct {
	Program string
	Exit    Exit
}

// Error describes the failure, with the beginning of what the program wrote.
func (e *ExitError) Error() string {
	return fmt.Sprintf("%s exited with %d (signal %d): %s", e.Program, e.Exit.Code, e.Exit.Signal, e.Exit.Output)
}
