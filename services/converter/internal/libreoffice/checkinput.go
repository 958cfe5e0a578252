package libreoffice

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// input is the information about a document that is available before LibreOffice opens it.
type input struct {
	detect.Result
	slides slides
	layout layout
}

// checkInput detects the format of the document, which decides how LibreOffice opens it. It refuses, with a
// *problem.Error, a document that LibreOffice would convert into garbage: LibreOffice makes a PDF of an empty file or
// of random bytes without complaint.
func checkInput(ctx context.Context, request engine.Request) (input, error) {
	file, err := os.Open(request.Source)
	if err != nil {
		return input{}, fmt.Errorf("open the document: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return input{}, fmt.Errorf("stat the document: %w", err)
	}
	found, err := detect.Detect(ctx, file, info.Size(), "document."+request.Format.ID)
	in := input{Result: found}
	var refusal *detect.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == detect.Unsupported:
		return in, problem.New(problem.FormatUnsupported, "The file is a %s, which cannot be converted.", refusal.Content).Because(err)
	case errors.As(err, &refusal) && refusal.Reason == detect.TooComplex:
		return in, problem.New(problem.DocumentTooComplex, "%s", refusal.Error()).Because(err)
	case errors.As(err, &refusal):
		return in, problem.New(problem.DocumentMalformed, "The file is not a readable %s.", request.Format.Title).Because(err)
	case err != nil:
		return in, fmt.Errorf("detect the document's format: %w", err)
	case found.Encrypted && request.Password == nil:
		// LibreOffice does not always ask for it: it does not know the encryption of binary presentations.
		return in, problem.New(problem.PasswordRequired, "The document is encrypted.")
	}
	in.slides = countSlides(ctx, file, info.Size(), found.Format.Family)
	in.layout = layoutOf(ctx, request, file, info.Size())
	return in, in.slides.check(request)
}
