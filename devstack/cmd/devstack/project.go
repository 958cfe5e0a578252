package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/devstack/supervisor"
)

// projectDir returns the project directory: the one with go.work that is, or contains, the current directory or that of
// this program.
func projectDir() (string, error) {
	current, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the current directory: %w", err)
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's directory: %w", err)
	}
	for _, dir := range []string{current, filepath.Dir(own)} {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if exists(filepath.Join(dir, "go.work")) && exists(filepath.Join(dir, "services")) {
				return dir, nil
			}
		}
	}
	return "", errors.New("not inside the project directory of Docmill")
}

// stackDir returns the directory of the state of the stack.
func stackDir() (string, error) {
	project, err := projectDir()
	if err != nil && os.Getenv(supervisor.DirVariable) == "" {
		return "", err
	}
	return supervisor.StateDir(project)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
