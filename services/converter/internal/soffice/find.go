package soffice

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docmill/docmill/services/converter/internal/child"
)

// binaryName is the program behind the script soffice; both lie in LibreOffice's folder "program".
const binaryName = "soffice.bin"

// errMissing says how to mend a missing LibreOffice.
var errMissing = errors.New("LibreOffice is missing: install libreoffice-writer, libreoffice-calc and libreoffice-impress (on Debian their -nogui variants will do), or set soffice to its program")

// find gives the path of soffice.bin. A configured program may be the script, a link to it, or soffice.bin itself.
func find(configured string) (string, error) {
	if configured != "" {
		binary, ok := beside(configured)
		if !ok {
			return "", fmt.Errorf("setting soffice: there is no %s beside %s: %w", binaryName, configured, errMissing)
		}
		return binary, nil
	}
	for _, candidate := range candidates() {
		if binary, ok := beside(candidate); ok {
			return binary, nil
		}
	}
	return "", errMissing
}

// candidates lists where distributions and The Document Foundation's own packages put it. The newest of the latter, which
// carry their version in the folder's name, comes first.
func candidates() []string {
	var found []string
	for _, name := range []string{"soffice", "libreoffice"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	for _, pattern := range []string{"/usr/lib*/libreoffice/program/", "/opt/libreoffice*/program/", "/usr/local/lib*/libreoffice/program/"} {
		matches, err := filepath.Glob(pattern + binaryName)
		if err != nil {
			continue // only a malformed pattern, and these are not
		}
		slices.Reverse(matches)
		found = append(found, matches...)
	}
	return found
}

// beside resolves links and looks for soffice.bin in the same folder.
func beside(program string) (string, bool) {
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", false
	}
	binary, err := exec.LookPath(filepath.Join(filepath.Dir(target), binaryName))
	return binary, err == nil
}

func (o *Office) askVersion(ctx context.Context, folder string) (string, error) {
	exit, err := child.Run(ctx, child.Command{
		Path: o.binary, Args: []string{"--version"}, Env: environment(folder, folder), Dir: folder, Limits: o.limits,
	})
	if err != nil {
		return "", fmt.Errorf("ask LibreOffice for its version: %w", err)
	}
	version, _, _ := strings.Cut(exit.Output, "\n")
	if exit.Code != 0 || version == "" {
		return "", fmt.Errorf("%s --version ended with %d (signal %d): %s", o.binary, exit.Code, exit.Signal, exit.Output)
	}
	return version, nil
}
