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
	"time"

	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/converter/internal/child"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// Config is what operators can set.
type Config struct {
	Program string        `name:"soffice" help:"LibreOffice's soffice. Empty: the one on the search path or in the usual places." placeholder:"FILE" type:"path"`
	Timeout time.Duration `name:"conversion-timeout" default:"120s" help:"How long one conversion may take before it is ended, from its start."`
	Memory  config.Size   `name:"conversion-memory" default:"2GiB" help:"How much resident memory one conversion may use before it is ended."`
	Disk    config.Size   `name:"conversion-disk" default:"2GiB" help:"How much one conversion may write, its result included, before it is ended."`
}

// Validate refuses limits in which no document could be converted.
func (c Config) Validate() error {
	const (
		leastMemory = 256 << 20 // LibreOffice takes 212 MiB for a one-page letter
		leastDisk   = 16 << 20
	)
	switch {
	case c.Timeout < time.Second:
		return fmt.Errorf("setting conversion-timeout: %s is too short for any document; the least is 1s", c.Timeout)
	case c.Memory < leastMemory:
		return fmt.Errorf("setting conversion-memory: %s is too little for any document; the least is 256MiB", c.Memory)
	case c.Disk < leastDisk:
		return fmt.Errorf("setting conversion-disk: %s is too little; the least is 16MiB", c.Disk)
	}
	return nil
}

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

// Start finds LibreOffice, sets a profile up in folder, which must outlive the Office, and converts a tiny document of
// each family. It fails when any of that does, and says what to install.
func Start(ctx context.Context, config Config, folder string) (*Office, error) {
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
		limits: child.Limits{Time: config.Timeout, Memory: int64(config.Memory), Disk: int64(config.Disk)},
		pdf:    inspector,
	}
	if office.version, err = office.askVersion(ctx, folder); err != nil {
		return nil, err
	}
	if office.profile, err = office.prepareProfile(ctx, folder); err != nil {
		return nil, fmt.Errorf("prepare %s (%s): %w", office.version, binary, err)
	}
	return office, nil
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
