// Package engine defines the interface between the work on a job and the program that converts documents: the request
// to an engine, its output, and the limits within which it works.
package engine

import (
	"context"
	"time"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Engine converts documents. Implementations are safe for concurrent use; one document never affects another.
type Engine interface {
	// Convert converts one document into its target format, within the engine's limits of time, memory and disk.
	//
	// A *problem.Error in the error's chain means that the document caused the failure and would fail again. ctx's error
	// means that the conversion was abandoned; no part of it is still running. Any other error means that the engine
	// failed, and that the same document may be converted later or elsewhere. The Output of a failure has the field
	// Engine, if that is known.
	Convert(ctx context.Context, request Request) (Output, error)
}

// Request is what to convert.
type Request struct {
	// Directory belongs to this conversion alone. The engine may leave anything in it: its owner removes it.
	Directory string
	// Source is the path of the document, which lies in Directory. The engine does not change it.
	Source string
	// Format is the declared format of the document.
	Format format.Format
	// Target is one of Format's targets of the kind format.Written.
	Target format.Target
	// Options are the options that the client set; may be nil. The engine applies those that concern LibreOffice.
	Options *conversionv1.Options
	// Password opens an encrypted document. Nil means none, as opposed to an empty one. It is never logged.
	Password *string
	// Progress, if not nil, is called with the progress of the conversion, from another goroutine but never
	// concurrently. It starts again from the beginning when the conversion does.
	Progress func(Progress)
}

// Progress is how far a conversion has come.
type Progress struct {
	Phase Phase
	// Percent of the phase, 0 to 100.
	Percent int
}

// Phase is a phase of a conversion.
type Phase string

// The phases, in order.
const (
	Loading Phase = "loading"
	Saving  Phase = "saving"
)

// Output is the result of a conversion.
type Output struct {
	// Path is the result's file, in the request's directory.
	Path string
	// Pages is the number of its pages, at least 1; 0 for a target without pages.
	Pages int
	// HiddenSlides is the number of omitted hidden slides; 0 if they cannot be counted.
	HiddenSlides int
	// Spent is the part of the conversion's time limit that the engine used. It is at most half of the limit, because the
	// time that the engine had to wait or to try again is not the document's fault, and the result must still be finished.
	Spent time.Duration
	// Engine is the program and its version, such as "LibreOffice 7.4.7.2".
	Engine string
}
