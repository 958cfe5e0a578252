package conversion

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/objectstore"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
)

// attempt is one attempt at a job.
type attempt struct {
	Parts

	command *conversionv1.ConvertRequested
	// number counts the attempts at the job from 1.
	number int
	began  time.Time
	events *events
	report *report
	log    *zap.Logger
}

// How far an attempt is, in percent, when the engine begins and when it has ended: nearly all of the time is its.
const (
	percentLoading = 10
	percentStoring = 90
)

// transferTimeout bounds the transfer of a document or a result: a store that stands still must not keep a slot for ever.
// 512 MiB need 1 MiB/s. Two of them and a conversion stay below the 30 minutes after which RabbitMQ takes a delivery back.
const transferTimeout = 10 * time.Minute

// make converts the document and stores the result. A problem of the catalogue that is not retryable is the document's
// own fault; any other error may pass.
func (a *attempt) make(ctx context.Context) (*conversionv1.Result, error) {
	format, target, err := a.formats()
	if err != nil {
		return nil, err
	}
	secrets, err := a.secrets()
	if err != nil {
		return nil, err
	}
	progress := a.events.startProgress(ctx)
	defer progress.stop()

	folder, err := a.Folder.Make()
	if err != nil {
		return nil, err
	}
	defer a.remove(folder)
	request := engine.Request{
		Folder: folder, Source: filepath.Join(folder, "document."+format.ID), Format: format, Target: target,
		Options: a.command.GetTarget().GetOptions(), Password: secrets.Password,
	}
	err = a.fetch(ctx, request.Source)
	a.report.fetched()
	if err != nil {
		return nil, err
	}
	return a.process(ctx, request, secrets, progress)
}

// process converts a fetched document and stores the result, and looks beside it at what the report tells.
func (a *attempt) process(
	ctx context.Context, request engine.Request, secrets *conversionv1.Secrets, progress *progress,
) (*conversionv1.Result, error) {
	began := time.Now()
	progress.report(conversionv1.Phase_PHASE_LOADING, percentLoading)
	request.Progress = func(p engine.Progress) {
		a.report.progressed(p)
		progress.engine(p)
	}
	look := a.startLook(ctx, request)
	output, err := a.write(ctx, request)
	found := <-look
	a.report.found(found.Findings, leavesOut(request.Target) && !request.Options.GetHiddenSlides())
	fonts := a.startFonts(ctx, found, output, request.Target)
	defer func() { a.report.message.Fonts = <-fonts }()
	if err != nil {
		a.report.converted(output, err)
		return nil, err
	}
	finished, is, err := a.finish(ctx, request, secrets, output, began)
	a.report.converted(output, err)
	if err != nil {
		return nil, err
	}
	progress.report(conversionv1.Phase_PHASE_STORING, percentStoring)
	result, err := a.store(ctx, finished, is)
	a.report.stored()
	return result, err
}

// leavesOut tells whether hidden slides are left out of a result: of pages, but not of a presentation in another format.
func leavesOut(target format.Target) bool {
	return target.ID == "pdf" || target.Kind == format.Images
}

// remove deletes a job's folder. What cannot be deleted now is deleted at the next start.
func (a *attempt) remove(folder string) {
	if err := os.RemoveAll(folder); err != nil {
		a.log.Error("a job's folder cannot be removed", zap.Error(err))
	}
}

// formats looks up what the command names. The gateway knows the same table, but may be of another version.
func (a *attempt) formats() (format.Format, format.Target, error) {
	source, wanted := a.command.GetSource().GetFormat(), a.command.GetTarget().GetFormat()
	format, found := format.ByID(source)
	target, offered := format.Target(wanted)
	if !found || !offered {
		return format, target, problem.New(problem.FormatUnsupported, "This converter does not make %q of %q.", wanted, source)
	}
	return format, target, nil
}

// secrets opens what was entrusted to the converter only. A key that is not here may be set later, so that this may pass.
func (a *attempt) secrets() (*conversionv1.Secrets, error) {
	secrets := &conversionv1.Secrets{}
	sealed := a.command.GetTarget().GetSealedSecrets()
	if len(sealed) == 0 {
		return secrets, nil
	}
	plain, err := a.Seal.Open(a.command.GetJobId(), sealed)
	if err != nil {
		return nil, fmt.Errorf("open the job's passwords: %w", err)
	}
	defer clear(plain)
	if err := proto.Unmarshal(plain, secrets); err != nil {
		return nil, fmt.Errorf("read the job's passwords: %w", seal.ErrBroken) // its own error could quote them
	}
	return secrets, nil
}

// fetch copies the document to a file and makes sure that it is the one that was submitted.
func (a *attempt) fetch(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	source := a.command.GetSource()
	content, err := a.Store.Get(ctx, a.Sources, source.GetObjectKey(), 0, -1)
	if errors.Is(err, objectstore.ErrNotFound) {
		return problem.New(problem.SourceMissing, "The uploaded file was removed before it was converted.").Because(err)
	}
	if err != nil {
		return storeTrouble("fetch the document", err)
	}
	defer content.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make a file for the document: %w", err)
	}
	defer file.Close() // the close below is the one that is checked
	sum := sha256.New()
	// One byte more than announced is enough to know that it is another file.
	size, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(content, source.GetSize()+1))
	if err != nil {
		return storeTrouble("fetch the document", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	if size != source.GetSize() || !bytes.Equal(sum.Sum(nil), source.GetSha256()) {
		return problem.New(problem.SourceMissing, "The stored file is not the one that was submitted.")
	}
	return nil
}

// store puts the result, and what it is, under a key that no other attempt has.
func (a *attempt) store(ctx context.Context, output engine.Output, is format.Target) (*conversionv1.Result, error) {
	file, err := os.Open(output.Path)
	if err != nil {
		return nil, fmt.Errorf("open the result: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the result: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	key := a.command.GetJobId() + "/" + uuid.NewString() + "." + is.Extension
	sum := sha256.New()
	err = a.Store.Put(ctx, a.Results, key, io.TeeReader(file, sum), info.Size(),
		objectstore.PutOptions{ContentType: is.MediaType, CreateOnce: true})
	if err != nil {
		return nil, storeTrouble("store the result", err)
	}
	return &conversionv1.Result{
		ObjectKey: key, ContentType: is.MediaType, Size: info.Size(), Sha256: sum.Sum(nil), Pages: int32(output.Pages),
	}, nil
}

func storeTrouble(doing string, err error) error {
	return problem.New(problem.StoreUnavailable, "The file store did not answer as it should.").Because(fmt.Errorf("%s: %w", doing, err))
}
