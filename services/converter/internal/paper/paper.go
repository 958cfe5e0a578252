// Package paper lays sheets out on the paper that a client wants. LibreOffice's PDF export has no option for that: the paper
// belongs to the document. So the document is first made an OpenDocument spreadsheet, whose page styles are then
// rewritten.
package paper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// Engine is an engine.Engine that heeds the options on paper. All else it leaves to Next. It is safe for concurrent use.
type Engine struct{ Next engine.Engine }

// Convert implements engine.Engine.
func (e Engine) Convert(ctx context.Context, request engine.Request) (engine.Output, error) {
	wanted := wish(request)
	if request.Format.Family != format.Spreadsheet || request.Target.ID != "pdf" || wanted == (layout{}) {
		return e.Next.Convert(ctx, request)
	}
	laidOut, err := e.layOut(ctx, request, wanted)
	if err != nil {
		return engine.Output{}, err
	}
	return e.Next.Convert(ctx, laidOut)
}

// wish is what is wanted of the pages; nothing is the zero layout.
func wish(request engine.Request) layout {
	o := request.Options
	return layout{
		paper: o.GetPaper(), orientation: o.GetOrientation(), fitWidth: o.GetFitWidth(),
		// A csv has no pages of its own. LibreOffice's own style for it prints "Sheet1" and "Page 1" on each.
		bare: request.Format.ID == "csv",
	}
}

// layOut makes the request for the same document on other paper.
func (e Engine) layOut(ctx context.Context, request engine.Request, wanted layout) (engine.Request, error) {
	format, _ := format.ByID("ods")
	target, _ := format.Target("ods")
	first := request
	first.Folder = filepath.Join(request.Folder, "paper")
	if err := os.Mkdir(first.Folder, 0o700); err != nil {
		return engine.Request{}, fmt.Errorf("make a folder for the spreadsheet: %w", err)
	}
	first.Target = target
	first.Options = localeOnly(request.Options)
	intermediate, err := e.Next.Convert(ctx, first)
	if err != nil {
		return engine.Request{}, err
	}
	second := request
	second.Source = filepath.Join(first.Folder, "document.ods")
	second.Format, second.Password = format, nil // LibreOffice was asked for one without a password
	second.Options = proto.CloneOf(request.Options)
	if err := rewrite(intermediate.Path, second.Source, wanted); err != nil {
		return engine.Request{}, fmt.Errorf("lay the sheets out: %w", err)
	}
	return second, nil
}

// localeOnly keeps of the options what concerns the reading of the document.
func localeOnly(options *conversionv1.Options) *conversionv1.Options {
	if options == nil || options.Locale == nil {
		return nil
	}
	return &conversionv1.Options{Locale: options.Locale}
}
