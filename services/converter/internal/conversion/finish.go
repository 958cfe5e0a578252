package conversion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/option"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/pdf"
)

// firstPage is the page range of a thumbnail.
const firstPage = "1"

// forEngine returns the engine's part of a request: for images, a PDF with no more pages than are drawn.
func forEngine(request engine.Request) engine.Request {
	if request.Target.Kind == format.Written {
		return request
	}
	options := without(request.Options, pdf.ImageOptions)
	if request.Target.Kind == format.Thumbnail {
		options.Pages = new(firstPage)
	}
	request.Target, _ = request.Format.Target(format.TargetPDF) // every format has it
	request.Options = options
	request.Progress = half(request.Progress, 0)
	return request
}

// without returns a copy of options without those with the given names.
func without(options *conversionv1.Options, names []option.Name) *conversionv1.Options {
	left := &conversionv1.Options{}
	proto.Merge(left, options)
	fields := left.ProtoReflect()
	fields.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if slices.Contains(names, option.Name(field.Name())) {
			fields.Clear(field)
		}
		return true
	})
	return left
}

// half reports the progress of the first or second half of the phase Saving: drawing the images of LibreOffice's PDF
// was observed to take about as long as writing it.
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

// finishing turns LibreOffice's output into the result.
type finishing struct {
	*attempt

	request engine.Request
	secrets *conversionv1.Secrets
	output  engine.Output
}

// finishers make the result of each kind of target from LibreOffice's output, and return the result's format.
var finishers = map[format.Kind]func(*finishing, context.Context) (engine.Output, format.Target, error){
	format.Written:   (*finishing).encrypt,
	format.Images:    (*finishing).draw,
	format.Thumbnail: (*finishing).draw,
}

// errUnknownKind means that the table of targets has a kind that nothing here produces.
var errUnknownKind = errors.New("unknown kind of target")

// finish makes the requested result from LibreOffice's output, and returns its format.
func (f *finishing) finish(ctx context.Context) (engine.Output, format.Target, error) {
	finisher, known := finishers[f.request.Target.Kind]
	if !known {
		return f.output, f.request.Target, fmt.Errorf("produce %q: %w", f.request.Target.ID, errUnknownKind)
	}
	return finisher(f, ctx)
}

// directory creates a directory for the files of this step.
func (f *finishing) directory() (string, error) {
	path := filepath.Join(f.request.Directory, "finish")
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("create a directory for the finished result: %w", err)
	}
	return path, nil
}

// encrypt encrypts a PDF if the options require it.
func (f *finishing) encrypt(ctx context.Context) (engine.Output, format.Target, error) {
	if f.request.Target.ID != format.TargetPDF || !pdf.WantsEncryption(f.request.Options, f.secrets) {
		return f.output, f.request.Target, nil
	}
	directory, err := f.directory()
	if err != nil {
		return f.output, f.request.Target, err
	}
	encrypted := f.output
	encrypted.Path, err = f.Encrypter.Encrypt(ctx, pdf.EncryptRequest{
		Directory: directory, PDF: f.output.Path, Options: f.request.Options, Secrets: f.secrets, Spent: f.output.Spent,
	})
	return encrypted, f.request.Target, err
}

// draw makes images of a PDF's pages.
func (f *finishing) draw(ctx context.Context) (engine.Output, format.Target, error) {
	directory, err := f.directory()
	if err != nil {
		return f.output, f.request.Target, err
	}
	second := half(f.request.Progress, 50)
	return f.Renderer.Render(ctx, pdf.RenderRequest{
		Directory: directory, PDF: f.output.Path, Pages: f.output.Pages, Target: f.request.Target, Options: f.request.Options,
		Spent:    f.output.Spent,
		Progress: func(percent int) { second(engine.Progress{Phase: engine.Saving, Percent: percent}) },
	})
}
