package libreoffice

import (
	"fmt"
	"time"

	"github.com/docmill/docmill/platform/config"
)

// Config is what operators can set of the processes that have LibreOffice loaded. What a document may cost is in
// engine.Config.
type Config struct {
	AllowUnconfined bool `name:"allow-unconfined" help:"Convert although the kernel has no Landlock (Linux 5.13), which keeps documents from reading this machine's files."`

	RecycleAge         time.Duration `name:"recycle-age" default:"1h" help:"How long LibreOffice is kept loaded before a fresh one takes over."`
	RecycleConversions int           `name:"recycle-conversions" default:"10000" help:"How many conversions a loaded LibreOffice does before a fresh one takes over."`
	RecycleGrowth      config.Size   `name:"recycle-growth" default:"128MiB" help:"By how much a loaded LibreOffice may grow before a fresh one takes over."`

	// unconfined leaves children their freedom, so that a benchmark can tell what it costs to take it.
	unconfined bool
}

// Validate refuses what would replace LibreOffice all the time.
func (c Config) Validate() error {
	switch {
	case c.RecycleAge < time.Minute:
		return fmt.Errorf("setting recycle-age: %s is too short; a start takes seconds; the least is 1m", c.RecycleAge)
	case c.RecycleConversions < 1:
		return fmt.Errorf("setting recycle-conversions: %d is too few; the least is 1", c.RecycleConversions)
	case c.RecycleGrowth <= 0:
		return fmt.Errorf("setting recycle-growth: %s is too little", c.RecycleGrowth)
	}
	return nil
}
