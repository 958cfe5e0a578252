package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// finishOutput checks the file that LibreOffice wrote for the request, and removes what LibreOffice has no option to
// omit. If LibreOffice reports success without a readable file, the document had nothing to write: that is a
// *problem.Error. A file that does not exist is fs.ErrNotExist, wrapped.
func finishOutput(ctx context.Context, tools *pdf.Tools, request engine.Request, path string) (engine.Output, error) {
	if request.Target.ID == format.TargetPDF {
		return checkPDF(ctx, tools, path)
	}
	path, err := fixOutput(request.Target, path)
	if err != nil {
		return engine.Output{}, fmt.Errorf("fix the result: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return engine.Output{}, fmt.Errorf("open the result: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return engine.Output{}, fmt.Errorf("stat the result: %w", err)
	case info.Size() == 0:
		return engine.Output{}, problem.New(problem.DocumentEmpty,
			"The document contains nothing that the format %q can hold.", request.Target.ID)
	case !hasFormat(ctx, request.Target, file, info.Size()):
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be converted to a readable %q.", request.Target.ID)
	}
	return engine.Output{Path: path}, nil
}

func checkPDF(ctx context.Context, tools *pdf.Tools, path string) (engine.Output, error) {
	pages, err := tools.Pages(ctx, path)
	if errors.Is(err, pdf.ErrNotPDF) {
		return engine.Output{}, problem.New(problem.DocumentMalformed, "The document could not be converted to a readable PDF.").Because(err)
	}
	if err != nil {
		return engine.Output{}, fmt.Errorf("count the pages of the result: %w", err)
	}
	return engine.Output{Path: path, Pages: pages}, nil
}

// hasFormat reports whether a file has the target's format. Text of any content does.
func hasFormat(ctx context.Context, target format.Target, file *os.File, size int64) bool {
	if strings.HasPrefix(target.MediaType, "text/") {
		return true
	}
	found, err := detect.Detect(ctx, file, size, "result."+target.Extension)
	if refusal, refused := errors.AsType[*detect.Refusal](err); refused { // the format may be one that is not converted from
		return refusal.Reason == detect.Unsupported && refusal.MediaType == target.MediaType
	}
	return err == nil && found.Format.MediaType == target.MediaType && !found.Encrypted
}
