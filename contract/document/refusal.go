package document

import "fmt"

// Reason says why a document is refused. Each has its own answer in the API.
type Reason int

// The reasons to refuse a document.
const (
	// Empty: there is not a single byte.
	Empty Reason = iota + 1
	// Unrecognisable: the content is of no kind that has a name.
	Unrecognisable
	// Unsupported: the content is of a kind that has a name, but that is not converted.
	Unsupported
	// Contradiction: the name promises a format of one family and the content is something else.
	Contradiction
	// Damaged: the content begins like a document's container, but the container cannot be read.
	Damaged
	// TooComplex: the content is one that would cost far more than any real document, such as a zip bomb.
	TooComplex
)

// String names the reason, for logs and metrics: one lower-case word.
func (r Reason) String() string {
	switch r {
	case Empty:
		return "empty"
	case Unrecognisable:
		return "unrecognisable"
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
// this package means that the bytes could not be read. Its text is fit for the person who sent the document.
type Refusal struct {
	// Reason is what a caller decides by.
	Reason Reason
	// Extension is the extension of the document's name, without a dot, in lower case; empty if there is none.
	Extension string
	// Content is the English name of what the content looks like; empty if it has none. For TooComplex it is what is too
	// much.
	Content string
	// MediaType is the media type of what the content looks like; empty if there is none.
	MediaType string

	// hint is one more sentence on what is wrong or how to mend it; may be empty.
	hint string
	// cause is what the parser said. It is for logs, not for people.
	cause error
}

// Error says what is wrong with the document.
func (r *Refusal) Error() string {
	text := r.sentence()
	if r.hint != "" {
		text += " " + r.hint
	}
	return text
}

// Unwrap gives what a parser said about a damaged document; nil for most refusals.
func (r *Refusal) Unwrap() error { return r.cause }

func (r *Refusal) sentence() string {
	switch r.Reason {
	case Empty:
		return "The document is empty (0 bytes)."
	case Unsupported:
		return fmt.Sprintf("The document is of a kind that is not converted: %s.", r.Content)
	case Contradiction:
		return fmt.Sprintf("The name ends in .%s, but the content is something else: %s.", r.Extension, r.Content)
	case Damaged:
		return fmt.Sprintf("The document is damaged or incomplete: its %s cannot be read.", r.Content)
	case TooComplex:
		return fmt.Sprintf("The document would cost too much to convert: it holds %s.", r.Content)
	case Unrecognisable:
		if r.Content != "" {
			return fmt.Sprintf("The kind of the document cannot be told: it is a %s.", r.Content)
		}
		return "The content is of no known kind of document."
	default:
		return "The document is refused: " + r.Reason.String() + "."
	}
}
