package soffice

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/docmill/docmill/services/converter/internal/child"
	"github.com/docmill/docmill/services/converter/internal/installation"
)

// binaryName is the program behind the script soffice; both lie in LibreOffice's folder "program".
const binaryName = "soffice.bin"

// find gives the path of soffice.bin.
func find(configured string) (string, error) {
	folder, err := installation.Find(configured, binaryName)
	return filepath.Join(folder, binaryName), err
}

func askVersion(ctx context.Context, binary string, limits child.Limits, folder string) (string, error) {
	exit, err := child.Run(ctx, child.Command{
		Path: binary, Args: []string{"--version"}, Env: environment(folder, folder), Dir: folder, Limits: limits,
	})
	if err != nil {
		return "", fmt.Errorf("ask LibreOffice for its version: %w", err)
	}
	version, _, _ := strings.Cut(exit.Output, "\n")
	if exit.Code != 0 || version == "" {
		return "", fmt.Errorf("%s --version ended with %d (signal %d): %s", binary, exit.Code, exit.Signal, exit.Output)
	}
	return version, nil
}
