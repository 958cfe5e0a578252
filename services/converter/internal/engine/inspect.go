package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// Inspect looks at the file that LibreOffice wrote for the request, and takes out of it what nobody asked for. A success
// without a readable file is the document's fault, a *problem.Error: there was nothing to write. A file that does not
// exist is fs.ErrNotExist, wrapped.
func Inspect(ctx context.Context, inspector *pdf.Inspector, request Request, path string) (Output, error) {
	if request.Target.ID == "pdf" {
		return inspectPDF(ctx, inspector, path)
	}
	path, err := tidy(request.Target, path)
	if err != nil {
		return Output{}, fmt.Errorf("tidy the result up: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return Output{}, fmt.Errorf("open the result: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return Output{}, fmt.Errorf("look at the result: %w", err)
	case info.Size() == 0:
		return Output{}, problem.New(problem.DocumentEmpty, "There is nothing in the document that %q could hold.", request.Target.ID)
	case !isA(ctx, request.Target, file, info.Size()):
		return Output{}, problem.New(problem.DocumentMalformed, "The document gave no readable %q.", request.Target.ID)
	}
	return Output{Path: path}, nil
}

func inspectPDF(ctx context.Context, inspector *pdf.Inspector, path string) (Output, error) {
	pages, err := inspector.Pages(ctx, path)
	if errors.Is(err, pdf.ErrNotPDF) {
		return Output{}, problem.New(problem.DocumentMalformed, "The document gave no readable PDF.").Because(err)
	}
	if err != nil {
		return Output{}, fmt.Errorf("look at the result: %w", err)
	}
	return Output{Path: path, Pages: pages}, nil
}

// isA tells whether a file is of the target's kind. A text of any content is one.
func isA(ctx context.Context, target format.Target, file *os.File, size int64) bool {
	if strings.HasPrefix(target.MediaType, "text/") {
		return true
	}
	found, err := detect.Detect(ctx, file, size, "result."+target.Extension)
	if refusal, refused := errors.AsType[*detect.Refusal](err); refused { // it may be of a kind that is not taken in
		return refusal.Reason == detect.Unsupported && refusal.MediaType == target.MediaType
	}
	return err == nil && found.Format.MediaType == target.MediaType && !found.Encrypted
}
