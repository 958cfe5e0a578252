package libreoffice

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// PageSetupOptions are the options that change a spreadsheet's page styles.
var PageSetupOptions = []option.Name{option.Paper, option.Orientation, option.FitWidth}

// pageSetup is the page setup that a client wants for every sheet. LibreOffice's PDF export has no options for it: the
// paper belongs to the document. So the document is first converted to an OpenDocument spreadsheet, whose page styles
// are then rewritten; that one becomes the PDF.
type pageSetup struct {
	paper       conversionv1.Paper
	orientation conversionv1.Orientation
	fitWidth    bool
	// noHeaders removes headers and footers.
	noHeaders bool
}

// pageSetupOf returns the requested page setup. The zero value changes nothing.
func pageSetupOf(request engine.Request) pageSetup {
	if request.Format.Family != format.Spreadsheet || request.Target.ID != format.TargetPDF {
		return pageSetup{}
	}
	o := request.Options
	return pageSetup{
		paper: o.GetPaper(), orientation: o.GetOrientation(), fitWidth: o.GetFitWidth(),
		// A csv has no pages of its own. LibreOffice's default style would print "Sheet1" and "Page 1" on each.
		noHeaders: request.Format.ID == "csv",
	}
}

// setUpPages returns a request for the same document with another page setup.
func (e *Engine) setUpPages(ctx context.Context, request engine.Request, in input, setup pageSetup) (engine.Request, input, error) {
	ods, _ := format.ByID("ods")
	target, _ := ods.Target(ods.ID)
	first := request
	first.Directory = filepath.Join(request.Directory, "page-setup")
	if err := os.Mkdir(first.Directory, 0o700); err != nil {
		return request, in, fmt.Errorf("create a directory for the spreadsheet: %w", err)
	}
	first.Target = target
	first.Options = loadingOptions(request.Options)
	intermediate, err := e.convertRetrying(ctx, first, in)
	if err != nil {
		return request, in, err
	}
	second := request
	second.Source = filepath.Join(first.Directory, "document.ods")
	second.Format, second.Password = ods, nil // LibreOffice wrote it without a password
	second.Options = proto.CloneOf(request.Options)
	if err := rewriteStyles(intermediate.Path, second.Source, setup); err != nil {
		return request, in, fmt.Errorf("change the page setup: %w", err)
	}
	return second, input{Result: detect.Result{Format: ods, Import: ods.Import}}, nil
}

// loadingOptions returns those of the options that apply when a spreadsheet is opened.
func loadingOptions(options *conversionv1.Options) *conversionv1.Options {
	if options == nil || options.Locale == nil {
		return nil
	}
	return &conversionv1.Options{Locale: options.Locale}
}
