package detect

import "fmt"

// Reason is why a document is refused. Each reason has its own problem code in the API.
type Reason int

// The reasons for refusing a document.
const (
	// Empty means that the document has no bytes.
	Empty Reason = iota + 1
	// Unrecognized means that the type of the content is unknown.
	Unrecognized
	// Unsupported means that the type of the content is known but cannot be converted.
	Unsupported
	// Contradiction means that the name promises a format of one family and the content is something else.
	Contradiction
	// Damaged means that the content begins like a document's container, but the container cannot be read.
	Damaged
	// TooComplex means that the content would cost far more than any real document, as a zip bomb does.
	TooComplex
)

// String returns the reason as one lower-case word, for logs and metrics.
func (r Reason) String() string {
	switch r {
	case Empty:
		return "empty"
	case Unrecognized:
		return "unrecognized"
	case Unsupported:
		return "unsupported"
	case Contradiction:
		return "contradiction"
	case Damaged:
		return "damaged"
	case TooComplex:
		return "complex"
	default:
		return fmt.Sprintf("Reason(%d)", int(r))
	}
}

// Refusal is the error for a document that will not be converted, through no fault of the service. Any other error of
// this package means that the document could not be read. Its text may be shown to the person who sent the document;
// the API adds how to solve the problem.
type Refusal struct {
	// Reason is meant for the caller's decisions.
	Reason Reason
	// Extension is the extension of the document's name, in lower case and without a dot; empty if there is none.
	Extension string
	// Content is the English name of what the content looks like; empty if it has none. For TooComplex it is what
	// there is too much of.
	Content string
	// MediaType is the media type of what the content looks like; empty if there is none.
	MediaType string

	// note is one more sentence about what is wrong. It may be empty.
	note string
	// cause is the error of the parser. It is for logs, not for people.
	cause error
}

// Error returns what is wrong with the document.
func (r *Refusal) Error() string {
	text := r.sentence()
	if r.note != "" {
		text += " " + r.note
	}
	return text
}

// Unwrap returns the parser's error for a damaged document; nil for most refusals.
func (r *Refusal) Unwrap() error { return r.cause }

func (r *Refusal) sentence() string {
	switch r.Reason {
	case Empty:
		return "The document is empty (0 bytes)."
	case Unsupported:
		return fmt.Sprintf("Documents of this kind cannot be converted: %s.", r.Content)
	case Contradiction:
		return fmt.Sprintf("The name ends in .%s, but the content is something else: %s.", r.Extension, r.Content)
	case Damaged:
		return fmt.Sprintf("The document is damaged or incomplete: its %s cannot be read.", r.Content)
	case TooComplex:
		return fmt.Sprintf("The document is too complex to convert: it contains %s.", r.Content)
	case Unrecognized:
		if r.Content != "" {
			return fmt.Sprintf("The kind of the document cannot be determined: it is a %s.", r.Content)
		}
		return "The content is not a known kind of document."
	default:
		return "The document is refused: " + r.Reason.String() + "."
	}
}
