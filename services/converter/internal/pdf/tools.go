// Package pdf reads, draws, selects pages of and encrypts PDF files.
//
// It uses qpdf and poppler's programs, sandboxed: a PDF may be the work of a hostile document. Measured on
// the same machine with 3, 1,000 and 40 pages (17 KB, 590 KB and 400 MiB): pdfinfo took 10, 10 and 17 ms and never more
// than 12 MiB; pdfcpu v0.15.0, in process, 2, 82 and 415 ms, and 400 MiB of heap for the last, because it reads whole
// files. A result is as large as the document makes it and must not fill the converter's memory. qpdf counts pages with
// less processor time than pdfinfo: 3.5 ms and 3.8 on Debian 12, 3.4 and 11 on Debian 13.
package pdf

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// ErrNotPDF means that a file is not a PDF, or one that is too damaged to be read.
var ErrNotPDF = errors.New("not a readable PDF")

// infoLimits are far above what the programs need: they read the cross-reference table and the root of the page tree.
var infoLimits = sandbox.Limits{Time: 20 * time.Second, Memory: 512 << 20}

// maxInfo is how much of a program's output is read, in bytes: 10,000 pages take 1 MiB.
const maxInfo = 16 << 20

// The exit codes of qpdf (its manual, "Exit Status").
const qpdfWarnings = 3

// Tools are the programs that this package runs. They are safe for concurrent use.
type Tools struct{ pdfinfo, pdffonts, pdftoppm, pdftocairo, cwebp, qpdf sandbox.Program }

// dataDirectory has poppler's data on languages.
const dataDirectory = "/usr/share/poppler"

// Files returns the files of the programs and their data.
func (t *Tools) Files() []string {
	return []string{
		dataDirectory, t.pdfinfo.Path(), t.pdffonts.Path(), t.pdftoppm.Path(), t.pdftocairo.Path(), t.cwebp.Path(), t.qpdf.Path(),
	}
}

// Programs returns the programs that this package needs.
func Programs() []sandbox.Tool {
	const poppler = "poppler-utils"
	return []sandbox.Tool{
		{Name: "pdfinfo", Package: poppler},
		{Name: "pdffonts", Package: poppler},
		{Name: "pdftoppm", Package: poppler},
		{Name: "pdftocairo", Package: poppler},
		{Name: "cwebp", Package: "webp"},
		{Name: "qpdf", Package: "qpdf"},
	}
}

// FindTools finds the programs on the search path.
func FindTools() (*Tools, error) {
	found, err := sandbox.FindAll(Programs()...)
	if err != nil {
		return nil, err
	}
	return &Tools{
		pdfinfo: found[0], pdffonts: found[1], pdftoppm: found[2], pdftocairo: found[3], cwebp: found[4], qpdf: found[5],
	}, nil
}

// inspect returns what a program prints about a file. If the program fails, the error is ErrNotPDF, except if it is too
// slow: it needs so little time that the machine must be the cause.
func inspect(ctx context.Context, program sandbox.Program, path string, options ...string) (string, error) {
	output, err := program.Output(ctx, maxInfo, sandbox.Command{
		Args: append(options, path), Dir: filepath.Dir(path), Limits: infoLimits, Access: sandbox.Tools().Read(path),
	})
	var failed *sandbox.ExitError
	if errors.Is(err, sandbox.ErrMemory) || errors.As(err, &failed) {
		return "", fmt.Errorf("%w: %w", ErrNotPDF, err)
	}
	return output, err
}
