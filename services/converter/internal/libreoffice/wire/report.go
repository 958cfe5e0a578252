package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Phase is what a child is at.
type Phase uint8

// The phases of a conversion.
const (
	Loading Phase = 1
	Saving  Phase = 2
)

const explanation = 3

// maxReports is how many reports are read of one child: two phases of a hundred percentages are far fewer. A child that
// was taken over by its document may write what it likes.
const maxReports = 10_000

// Reports reads what a child writes into its pipe until the child has ended: progress, as it comes, and then what
// LibreOffice said of a failure, which is "" when it said nothing. None of it can be trusted. ErrMalformed is returned
// once it breaks off in the middle of a report or goes on for ever; the rest is for nobody then.
func Reports(pipe io.Reader, progress func(Phase, int)) (said string, err error) {
	for range maxReports {
		var head [4]byte
		if _, err := io.ReadFull(pipe, head[:]); errors.Is(err, io.EOF) {
			return said, nil
		} else if err != nil {
			return said, fmt.Errorf("%w: a report: %w", ErrMalformed, err)
		}
		text := make([]byte, binary.LittleEndian.Uint16(head[2:]))
		if _, err := io.ReadFull(pipe, text); err != nil {
			return said, fmt.Errorf("%w: a report: %w", ErrMalformed, err)
		}
		switch kind := head[0]; kind {
		case uint8(Loading), uint8(Saving):
			progress(Phase(kind), min(int(head[1]), 100))
		case explanation:
			said = strings.ToValidUTF8(string(text), "\uFFFD")
		default:
			return said, fmt.Errorf("%w: a report of unknown kind %d", ErrMalformed, kind)
		}
	}
	return said, fmt.Errorf("%w: more than %d reports", ErrMalformed, maxReports)
}
