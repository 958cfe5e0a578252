package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Phase is a phase of a conversion.
type Phase uint8

// The phases of a conversion.
const (
	Loading Phase = 1
	Saving  Phase = 2
)

const kindExplanation = 3

// maxReports is how many reports of one child are read: two phases of a hundred percentages are far fewer. A child that
// was taken over by its document can write anything.
const maxReports = 10_000

// Reports reads what a child writes into its pipe until the child has ended. It calls progress for each report of
// progress, and returns LibreOffice's error message, which may be empty. No report can be trusted. It returns
// ErrMalformed if the data ends in the middle of a report or has too many reports; the caller ignores the rest.
func Reports(pipe io.Reader, progress func(Phase, int)) (explanation string, err error) {
	for range maxReports {
		var head [4]byte
		if _, err := io.ReadFull(pipe, head[:]); errors.Is(err, io.EOF) {
			return explanation, nil
		} else if err != nil {
			return explanation, fmt.Errorf("%w: report: %w", ErrMalformed, err)
		}
		text := make([]byte, binary.LittleEndian.Uint16(head[2:]))
		if _, err := io.ReadFull(pipe, text); err != nil {
			return explanation, fmt.Errorf("%w: report: %w", ErrMalformed, err)
		}
		switch kind := head[0]; kind {
		case uint8(Loading), uint8(Saving):
			progress(Phase(kind), min(int(head[1]), 100))
		case kindExplanation:
			explanation = strings.ToValidUTF8(string(text), "\uFFFD")
		default:
			return explanation, fmt.Errorf("%w: report of unknown kind %d", ErrMalformed, kind)
		}
	}
	return explanation, fmt.Errorf("%w: more than %d reports", ErrMalformed, maxReports)
}
