package engine

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/officefile"
	"github.com/docmill/docmill/contract/problem"
)

// Examine looks into the document for how LibreOffice is to read it, and refuses what it would make rubbish of: an empty
// file, a picture or random bytes become a PDF without complaint. A *problem.Error is the document's own fault.
func Examine(ctx context.Context, request Request) (detect.Result, error) {
	file, err := os.Open(request.Source)
	if err != nil {
		return detect.Result{}, fmt.Errorf("open the document: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return detect.Result{}, fmt.Errorf("look at the document: %w", err)
	}
	found, err := detect.Detect(ctx, file, info.Size(), "document."+request.Format.ID)
	var refusal *detect.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == detect.Unsupported:
		return found, problem.New(problem.FormatUnsupported, "The file is a %s, which is not converted.", refusal.Content).Because(err)
	case errors.As(err, &refusal) && refusal.Reason == detect.TooComplex:
		return found, problem.New(problem.DocumentTooComplex, "%s", refusal.Error()).Because(err)
	case errors.As(err, &refusal):
		return found, problem.New(problem.DocumentMalformed, "The file is not a readable %s.", request.Format.Title).Because(err)
	case err != nil:
		return found, fmt.Errorf("detect the format of the document: %w", err)
	case found.Encrypted && request.Password == nil:
		// LibreOffice does not always ask for it: it knows no encryption of binary presentations.
		return found, problem.New(problem.PasswordRequired, "The document is encrypted.")
	}
	// LibreOffice says nothing about a presentation without visible slides: it gives no PDF, or a blank page.
	slides, err := officefile.CountSlides(ctx, file, info.Size())
	switch {
	case err == nil && slides.Total == 0:
		return found, problem.New(problem.DocumentEmpty, "The presentation has no slides.")
	case err == nil && slides.Visible() == 0:
		return found, problem.New(problem.DocumentEmpty, "All slides of the presentation are hidden.")
	}
	return found, nil
}
