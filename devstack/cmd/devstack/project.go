package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/devstack/supervisor"
)

// projectFolder is the one with go.work, in or above the current folder or else that of this program.
func projectFolder() (string, error) {
	current, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the current folder: %w", err)
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program's folder: %w", err)
	}
	for _, folder := range []string{current, filepath.Dir(own)} {
		for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
			if exists(filepath.Join(folder, "go.work")) && exists(filepath.Join(folder, "services")) {
				return folder, nil
			}
		}
	}
	return "", errors.New("this is not inside Docmill's project folder")
}

// stackFolder is where the project's stack keeps its state.
func stackFolder() (string, error) {
	project, err := projectFolder()
	if err != nil && os.Getenv(supervisor.DirVariable) == "" {
		return "", err
	}
	return supervisor.Folder(project)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
