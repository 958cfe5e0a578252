package engine

import (
	"errors"

	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// Limited turns the limit at which a child was ended into the document's problem, and gives any other error back.
func Limited(err error) error {
	switch {
	case errors.Is(err, sandbox.ErrTime):
		return problem.New(problem.ConversionTimeout, "The conversion was ended at its time limit.").Because(err)
	case errors.Is(err, sandbox.ErrMemory):
		return problem.New(problem.DocumentTooComplex, "The conversion was ended at its memory limit.").Because(err)
	case errors.Is(err, sandbox.ErrDisk):
		return problem.New(problem.DocumentTooComplex, "The conversion was ended because its result grew too large.").Because(err)
	default:
		return err
	}
}
