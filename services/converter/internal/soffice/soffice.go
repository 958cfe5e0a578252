// Package soffice converts documents with LibreOffice, one process per document.
//
// It runs soffice.bin itself and not the soffice script: the script starts a chain of three processes, of which only the
// last converts, and a signal or a parent's death would reach only the first.
package soffice

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/services/converter/internal/child"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// Office is an installed LibreOffice that was seen to convert. It is safe for concurrent use.
type Office struct {
	binary  string
	version string
	// profile is a profile that LibreOffice has set up once: a copy of it saves each document the 0.6 s of doing that again.
	profile string
	limits  child.Limits
	pdf     *pdf.Inspector
}

var _ engine.Engine = (*Office)(nil)

// Version finds LibreOffice and asks it what it is: "LibreOffice 7.4.7.2 40(Build:2)". It uses folder for what LibreOffice
// writes meanwhile.
func Version(ctx context.Context, config engine.Config, folder string) (string, error) {
	binary, err := find(config.Program)
	if err != nil {
		return "", err
	}
	return askVersion(ctx, binary, limits(config), folder)
}

func limits(config engine.Config) child.Limits {
	return child.Limits{Time: config.Timeout, Memory: int64(config.Memory), Disk: int64(config.Disk)}
}

// Start finds LibreOffice, sets a profile up in folder, which must outlive the Office, and converts a tiny document of
// each family. It fails when any of that does, and says what to install.
func Start(ctx context.Context, config engine.Config, folder string) (*Office, error) {
	binary, err := find(config.Program)
	if err != nil {
		return nil, err
	}
	inspector, err := pdf.NewInspector()
	if err != nil {
		return nil, err
	}
	office := &Office{
		binary: binary,
		limits: limits(config),
		pdf:    inspector,
	}
	if office.version, err = askVersion(ctx, binary, office.limits, folder); err != nil {
		return nil, err
	}
	if office.profile, err = office.prepareProfile(ctx, folder); err != nil {
		return nil, fmt.Errorf("prepare %s (%s): %w", office.version, binary, err)
	}
	return office, nil
}

// Run does nothing until drain is closed: there is no process between conversions.
func (o *Office) Run(_ context.Context, ready func(), drain <-chan struct{}) error {
	ready()
	<-drain
	return nil
}

// Version is what LibreOffice says of itself: "LibreOffice 7.4.7.2 40(Build:2)".
func (o *Office) Version() string { return o.version }

// Check tells whether LibreOffice is still where it was at the start: an upgrade of its package takes it away for a while.
func (o *Office) Check(context.Context) error {
	for _, path := range []string{o.binary, filepath.Join(o.profile, userFolder)} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("LibreOffice: %w", err)
		}
	}
	return nil
}
