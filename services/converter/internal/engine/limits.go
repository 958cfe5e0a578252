package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// AttemptTimeout is how long an attempt at a conversion may take, with all transfers and all programs that it runs one
// after another. After 30 minutes RabbitMQ would redeliver its command, and all others of this converter.
const AttemptTimeout = 25 * time.Minute

// maxTimeout leaves time for two programs one after another, as for a spreadsheet whose paper is changed, and five minutes
// for transfers.
const maxTimeout = (AttemptTimeout - 5*time.Minute) / 2

// Limits are the settings that bound one conversion, from its start to its finished result.
type Limits struct {
	Timeout time.Duration `name:"conversion-timeout" default:"120s" help:"Time limit of a conversion, at most 10m. A conversion that exceeds it is killed."`
	Memory  config.Size   `name:"conversion-memory" default:"2GiB" help:"Memory limit of a conversion. A conversion that exceeds it is killed."`
	Disk    config.Size   `name:"conversion-disk" default:"2GiB" help:"Disk space limit of a conversion, including its result. A conversion that exceeds it is killed."`
	Pages   int           `name:"conversion-pages" default:"10000" help:"Maximum number of pages of a result. 0: no limit."`
}

// Validate rejects limits within which no document can be converted.
func (l Limits) Validate() error {
	const (
		minMemory = 256 << 20 // LibreOffice takes 212 MiB for a one-page letter
		minDisk   = 16 << 20
	)
	switch {
	case l.Timeout < time.Second:
		return fmt.Errorf("setting conversion-timeout: %s is too short for any document; the minimum is 1s", l.Timeout)
	case l.Timeout > maxTimeout:
		return fmt.Errorf("setting conversion-timeout: %s is too long; the maximum is %s, because an attempt, which may need it twice, must end within %s: "+
			"RabbitMQ takes its command back after 30m (consumer_timeout)", l.Timeout, maxTimeout, AttemptTimeout)
	case l.Memory < minMemory:
		return fmt.Errorf("setting conversion-memory: %s is too little for any document; the minimum is 256MiB", l.Memory)
	case l.Disk < minDisk:
		return fmt.Errorf("setting conversion-disk: %s is too little; the minimum is 16MiB", l.Disk)
	case l.Pages < 0:
		return fmt.Errorf("setting conversion-pages: %d is negative; 0 means no limit", l.Pages)
	}
	return nil
}

// Sandbox returns the limits of a program that works on a conversion's document.
func (l Limits) Sandbox() sandbox.Limits {
	return sandbox.Limits{Time: l.Timeout, Memory: int64(l.Memory), Disk: int64(l.Disk)}
}

// LimitExceeded turns the limit at which a sandboxed program was killed into the document's problem. It returns any
// other error unchanged.
func LimitExceeded(err error) error {
	switch {
	case errors.Is(err, sandbox.ErrTime):
		return problem.New(problem.ConversionTimeout, "The conversion exceeded its time limit and was stopped.").Because(err)
	case errors.Is(err, sandbox.ErrMemory):
		return problem.New(problem.DocumentTooComplex, "The conversion exceeded its memory limit and was stopped.").Because(err)
	case errors.Is(err, sandbox.ErrDisk):
		return problem.New(problem.DocumentTooComplex, "The conversion exceeded its disk space limit and was stopped.").Because(err)
	default:
		return err
	}
}
