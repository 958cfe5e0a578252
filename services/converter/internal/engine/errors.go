package engine

import "errors"

// ErrUnavailable means that the engine itself failed, and would have with any document.
var ErrUnavailable = errors.New("the conversion engine is not available")
