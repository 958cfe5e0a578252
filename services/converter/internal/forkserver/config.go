package forkserver

import (
	"fmt"
	"time"

	"github.com/docmill/docmill/platform/config"
)

// Config is what operators can set.
type Config struct {
	Program string        `name:"soffice" help:"LibreOffice's soffice. Empty: the one on the search path or in the usual places." placeholder:"FILE" type:"path"`
	Timeout time.Duration `name:"conversion-timeout" default:"120s" help:"How long one conversion may take before it is ended, from its start."`
	Memory  config.Size   `name:"conversion-memory" default:"2GiB" help:"How much memory one conversion may use, beyond the 150 MiB that all share, before it is ended."`
	Disk    config.Size   `name:"conversion-disk" default:"2GiB" help:"How much one conversion may write, its result included, before it is ended."`

	AllowUnconfined bool `name:"allow-unconfined" help:"Convert although the kernel has no Landlock (Linux 5.13), which keeps documents from reading this machine's files."`

	RecycleAge         time.Duration `name:"recycle-age" default:"1h" help:"How long LibreOffice is kept loaded before a fresh one takes over."`
	RecycleConversions int           `name:"recycle-conversions" default:"10000" help:"How many conversions a loaded LibreOffice does before a fresh one takes over."`
	RecycleGrowth      config.Size   `name:"recycle-growth" default:"128MiB" help:"By how much a loaded LibreOffice may grow before a fresh one takes over."`
}

// Validate refuses limits in which no document could be converted.
func (c Config) Validate() error {
	const (
		leastMemory = 64 << 20 // a small deck takes 30 MiB
		leastDisk   = 16 << 20
	)
	switch {
	case c.Timeout < time.Second:
		return fmt.Errorf("setting conversion-timeout: %s is too short for any document; the least is 1s", c.Timeout)
	case c.Memory < leastMemory:
		return fmt.Errorf("setting conversion-memory: %s is too little for any document; the least is 64MiB", c.Memory)
	case c.Disk < leastDisk:
		return fmt.Errorf("setting conversion-disk: %s is too little; the least is 16MiB", c.Disk)
	case c.RecycleAge < time.Minute:
		return fmt.Errorf("setting recycle-age: %s is too short; a start takes seconds; the least is 1m", c.RecycleAge)
	case c.RecycleConversions < 1:
		return fmt.Errorf("setting recycle-conversions: %d is too few; the least is 1", c.RecycleConversions)
	case c.RecycleGrowth <= 0:
		return fmt.Errorf("setting recycle-growth: %s is too little", c.RecycleGrowth)
	}
	return nil
}
