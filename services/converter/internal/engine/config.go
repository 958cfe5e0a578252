package engine

import (
	"fmt"
	"time"

	"github.com/docmill/docmill/platform/config"
)

// Config is what operators can set of LibreOffice and of what a document may cost.
type Config struct {
	Program string        `name:"soffice" help:"LibreOffice's soffice. Empty: the one on the search path or in the usual places." placeholder:"FILE" type:"path"`
	Timeout time.Duration `name:"conversion-timeout" default:"120s" help:"How long one conversion may take before it is ended, from its start."`
	Memory  config.Size   `name:"conversion-memory" default:"2GiB" help:"How much memory one conversion may use before it is ended."`
	Disk    config.Size   `name:"conversion-disk" default:"2GiB" help:"How much one conversion may write, its result included, before it is ended."`
	Pages   int           `name:"conversion-pages" default:"10000" help:"How many pages a result may have. 0: any number."`
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
	case c.Pages < 0:
		return fmt.Errorf("setting conversion-pages: %d is negative; 0 is no limit", c.Pages)
	}
	return nil
}
