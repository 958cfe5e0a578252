// Package engine is the seam between the work on a job and the program that converts documents.
package engine

import (
	"context"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

// Engine converts documents. Implementations are safe for concurrent use; one document never affects another.
type Engine interface {
	// Convert makes one document into its target format, within the engine's limits of time, memory and disk.
	//
	// A *problem.Error in the error's chain is the document's own fault: it would fail again, and its code says why. ctx's
	// error means that the conversion was abandoned; nothing of it goes on. Any other error is the engine's trouble, and
	// the same document may be converted later or elsewhere. The Output of a failure says which Engine it was, if that is known.
	Convert(ctx context.Context, request Request) (Output, error)
}

// Request is what to convert.
type Request struct {
	// Folder belongs to this conversion alone. The engine may leave anything in it: its owner removes it.
	Folder string
	// Source is the path of the document, which lies in Folder. The engine does not change it.
	Source string
	// Format is what the document is said to be.
	Format format.Format
	// Target is one of Format's targets that LibreOffice writes.
	Target format.Target
	// Options are what the client chose; nil is nothing. The engine heeds those that concern LibreOffice.
	Options *conversionv1.Options
	// Password opens the document if it asks for one. Nil is none, which an empty one is not. It is never logged.
	Password *string
	// Progress, when not nil, is told how far the conversion has come, from another goroutine and never twice at once. It
	// begins anew when the conversion has to.
	Progress func(Progress)
}

// Progress is how far a conversion has come.
type Progress struct {
	Phase Phase
	// Percent of the phase, 0 to 100.
	Percent int
}

// Phase is a part of a conversion.
type Phase string

// The phases, in order.
const (
	Loading Phase = "loading"
	Saving  Phase = "saving"
)

// Output is what came of it.
type Output struct {
	// Path is the result's file, in the request's folder.
	Path string
	// Pages is how many pages it has, at least 1; 0 for a target without pages.
	Pages int
	// Engine is the program that did it and its version, such as "LibreOffice 7.4.7.2".
	Engine string
}
