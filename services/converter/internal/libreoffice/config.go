package libreoffice

import (
	"fmt"
	"time"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/platform/config"
)

// Config are the settings of LibreOffice and of the processes that keep it loaded. engine.Limits are the limits of one
// document.
type Config struct {
	Program string `name:"soffice" help:"Path of LibreOffice's soffice. Default: the one on the search path or in the usual directories." placeholder:"FILE" type:"path"`

	AllowUnconfined bool `name:"allow-unconfined" help:"Convert even if the kernel has no Landlock (Linux 5.13), which keeps documents from reading this machine's files."`

	RecycleAge         time.Duration `name:"recycle-age" default:"1h" help:"Time after which a loaded LibreOffice is replaced by a fresh one."`
	RecycleConversions int           `name:"recycle-conversions" default:"10000" help:"Number of conversions after which a loaded LibreOffice is replaced by a fresh one."`
	RecycleGrowth      config.Size   `name:"recycle-growth" default:"128MiB" help:"Growth in memory after which a loaded LibreOffice is replaced by a fresh one."`

	// Expected are the families of the documents that will be converted. LibreOffice warms up for these only, which
	// makes it start sooner; other documents are converted more slowly. None stands for all.
	Expected []format.Family `kong:"-"`

	// unconfined disables the sandbox, so that a benchmark can measure what it costs.
	unconfined bool
}

// Validate rejects settings that would replace LibreOffice all the time.
func (c Config) Validate() error {
	switch {
	case c.RecycleAge < time.Minute:
		return fmt.Errorf("setting recycle-age: %s is too short, because a start takes seconds; the minimum is 1m", c.RecycleAge)
	case c.RecycleConversions < 1:
		return fmt.Errorf("setting recycle-conversions: %d is too few; the minimum is 1", c.RecycleConversions)
	case c.RecycleGrowth <= 0:
		return fmt.Errorf("setting recycle-growth: %s is too little; it must be more than 0", c.RecycleGrowth)
	}
	return nil
}
