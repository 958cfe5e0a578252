package conversion

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/protect"
	"github.com/docmill/docmill/services/converter/internal/render"
)

// forLibreOffice makes of a request what LibreOffice has to do for it: for pictures a PDF of no more pages than are seen.
func forLibreOffice(request engine.Request) engine.Request {
	if request.Target.Kind == format.Written {
		return request
	}
	options := &conversionv1.Options{}
	proto.Merge(options, request.Options)
	options.ImageQuality = nil // that of the pictures of pages, not of those in them
	if request.Target.Kind == format.Thumbnail {
		options.Pages = new("1")
	}
	request.Target, _ = request.Format.Target("pdf") // every format has it
	request.Options = options
	request.Progress = half(request.Progress, 0)
	return request
}

// half tells of the first or second half of what remains to be done when a document is open: LibreOffice's PDF was seen to take
// about as long as its pictures.
func half(whole func(engine.Progress), from int) func(engine.Progress) {
	return func(p engine.Progress) {
		if p.Phase == engine.Saving {
			p.Percent = from + p.Percent/2
		}
		if whole != nil {
			whole(p)
		}
	}
}

// write has LibreOffice write what the request needs.
func (a *attempt) write(ctx context.Context, request engine.Request) (engine.Output, error) {
	request = forLibreOffice(request)
	output, err := a.Engine.Convert(ctx, request)
	if err == nil || problem.From(err).Code != problem.PagesNotFound || a.command.GetTarget().GetOptions().GetPages() != "" {
		return output, err
	}
	// LibreOffice counts hidden slides, which it does not write, and the first one is hidden: the first of all that it writes
	// is the first that can be seen.
	request.Folder = filepath.Join(request.Folder, "all-pages")
	if err := os.Mkdir(request.Folder, 0o700); err != nil {
		return output, fmt.Errorf("make a folder for all pages: %w", err)
	}
	request.Options.Pages = nil
	return a.Engine.Convert(ctx, request)
}

// finish makes of what LibreOffice wrote what the client asked for, within what is left of the time since began, and says what
// it is.
func (a *attempt) finish(
	ctx context.Context, request engine.Request, secrets *conversionv1.Secrets, output engine.Output, began time.Time,
) (engine.Output, format.Target, error) {
	pictures := request.Target.Kind != format.Written
	protected := request.Target.ID == "pdf" && protect.Wanted(request.Options, secrets)
	if !pictures && !protected {
		return output, request.Target, nil
	}
	folder := filepath.Join(request.Folder, "finish")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return output, request.Target, fmt.Errorf("make a folder to finish in: %w", err)
	}
	finished, is := output, request.Target
	var err error
	if pictures {
		second := half(request.Progress, 50)
		finished, is, err = a.Renderer.Render(ctx, render.Request{
			Folder: folder, PDF: output.Path, Pages: output.Pages, Target: request.Target, Options: request.Options, Spent: time.Since(began),
			Progress: func(percent int) { second(engine.Progress{Phase: engine.Saving, Percent: percent}) },
		})
		finished.Engine = output.Engine
	} else {
		finished.Path, err = a.Protector.Protect(ctx, protect.Request{
			Folder: folder, PDF: output.Path, Options: request.Options, Secrets: secrets, Spent: time.Since(began),
		})
	}
	return finished, is, err
}
