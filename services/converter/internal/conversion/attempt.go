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
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/retry"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/phase"
)

// attempt is one attempt at a job.
type attempt struct {
	Deps

	slots    *slots
	streak   *streak
	misses   *misses
	evidence *evidence
	command  *conversionv1.ConvertRequested
	// number counts the attempts at the job from 1.
	number int
	// left means that the command was left to other converters.
	left  bool
	began time.Time
	// started is when the attempt has published that it starts; zero before.
	started time.Time
	// cancel ends the attempt, with the cause errCanceled.
	cancel context.CancelCauseFunc
	events *events
	report *report
	log    *zap.Logger
}

// The progress of an attempt, in percent, when the engine starts and when it has ended: it takes nearly all of the
// time.
const (
	percentLoading = 10
	percentStoring = 90
)

// DeliveryTimeout is how long a converter holds the delivery of a command, including the wait for a slot and the
// publication of the outcome. Then it returns the command. It is a few minutes longer than engine.AttemptTimeout, and must
// be less than RabbitMQ's consumer_timeout (30 minutes by default), which would end the work on all commands of this
// converter.
const DeliveryTimeout = 28 * time.Minute

// errOverdue means that the work on a delivery took longer than DeliveryTimeout.
var errOverdue = errors.New("the command was held for too long")

// errTooLong means that an attempt took longer than engine.AttemptTimeout.
var errTooLong = errors.New("the attempt took too long")

// makeInTime calls make with a time limit: engine.AttemptTimeout, or less if the delivery has waited for long. If the limit
// is exceeded, the error is transient.
func (a *attempt) makeInTime(ctx context.Context) (*conversionv1.Result, error) {
	limit := engine.AttemptTimeout
	if deadline, limited := ctx.Deadline(); limited {
		limit = min(limit, time.Until(deadline)*9/10) // the rest is for publishing the outcome
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	result, err := a.make(limited)
	if err == nil || !errors.Is(context.Cause(limited), errTooLong) {
		return result, err
	}
	tooLong := fmt.Errorf("%w: %v", errTooLong, err) //nolint:errorlint // err may be a verdict on half a conversion
	if errors.Is(err, errSuspicious) || documentFailed(err) {
		return nil, suspicious(tooLong)
	}
	return nil, tooLong
}

// make converts the document and stores the result. A problem that is not retryable is caused by the document; any
// other error is transient.
func (a *attempt) make(ctx context.Context) (_ *conversionv1.Result, err error) {
	defer a.recoverTo(&err)
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
	rechecking, stop := context.WithCancel(ctx)
	defer stop()
	go a.recheck(rechecking)

	directory, err := a.Workdir.Make()
	if err != nil {
		return nil, err
	}
	defer a.remove(directory)
	request := engine.Request{
		Directory: directory, Source: filepath.Join(directory, "document."+format.ID), Format: format, Target: target,
		Options: a.command.GetTarget().GetOptions(), Password: secrets.Password,
	}
	fetching, fetched := a.Phases.Start(ctx, phase.Fetch)
	err = a.fetch(fetching, request.Source)
	fetched(err)
	a.report.fetched()
	if errors.Is(err, engine.ErrNoSpace) { // the document may be too large for the disk
		return nil, a.suspect(err, directory)
	}
	if err != nil {
		return nil, err
	}
	return a.process(ctx, request, secrets, progress)
}

// process converts a fetched document, stores the result, and collects data for the report.
func (a *attempt) process(
	ctx context.Context, request engine.Request, secrets *conversionv1.Secrets, progress *progress,
) (*conversionv1.Result, error) {
	progress.report(conversionv1.Phase_PHASE_LOADING, percentLoading)
	request.Progress = func(p engine.Progress) {
		a.report.progressed(p)
		progress.engine(p)
	}
	scanning := a.startPreflight(ctx, request)
	output, err := a.Engine.Convert(ctx, forEngine(request))
	found := <-scanning
	a.report.found(found, output.HiddenSlides)
	a.correctHeights(ctx, request, output)
	fonts := a.startFontReport(ctx, found, output, request.Target)
	defer func() { a.report.message.Fonts = <-fonts }()
	if err != nil {
		a.report.converted(output, err)
		return nil, a.suspect(err, request.Directory)
	}
	finish := finishing{attempt: a, request: request, secrets: secrets, output: output}
	finishing, ended := a.Phases.Start(ctx, phase.Finish)
	finished, is, err := finish.finish(finishing)
	ended(err)
	err = a.suspect(a.blameDisk(err, request.Directory), request.Directory)
	a.report.converted(output, err)
	if err != nil {
		return nil, err
	}
	progress.report(conversionv1.Phase_PHASE_STORING, percentStoring)
	storing, stored := a.Phases.Start(ctx, phase.Store)
	result, err := a.store(storing, finished, is)
	stored(err)
	a.report.stored()
	return result, err
}

// remove deletes a job's directory. If that fails, the next start of a converter deletes it.
func (a *attempt) remove(directory string) {
	if err := os.RemoveAll(directory); err != nil {
		a.log.Error("cannot remove a job's directory", zap.Error(err))
	}
}

// formats looks up the formats in the command. The gateway has the same table, but possibly of another version.
func (a *attempt) formats() (format.Format, format.Target, error) {
	source, wanted := a.command.GetSource().GetFormat(), a.command.GetTarget().GetFormat()
	format, found := format.ByID(source)
	target, offered := format.Target(wanted)
	if !found || !offered {
		return format, target, fmt.Errorf("%w of %q to %q", errConversion, source, wanted)
	}
	return format, target, nil
}

// secrets decrypts the options that only the converter may see. A missing key is a transient error: it may be
// configured later.
func (a *attempt) secrets() (*conversionv1.Secrets, error) {
	secrets := &conversionv1.Secrets{}
	sealed := a.command.GetTarget().GetSealedSecrets()
	if len(sealed) == 0 {
		return secrets, nil
	}
	plain, err := a.Seal.Open(a.command.GetJobId(), sealed)
	if err != nil {
		return nil, fmt.Errorf("decrypt the job's passwords: %w", err)
	}
	defer clear(plain)
	if err := proto.Unmarshal(plain, secrets); err != nil {
		return nil, fmt.Errorf("decode the job's passwords: %w", seal.ErrBroken) // protobuf's error could quote them
	}
	return secrets, nil
}

// transfer repeats a transfer from or to the store while the store fails: an outage must neither count as a failed attempt
// nor waste a finished conversion.
func (a *attempt) transfer(ctx context.Context, what string, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.TransferTimeout)
	defer cancel()
	waiting, stop := a.whileRunning(ctx)
	defer stop()
	var last error
	policy := retry.Policy{Initial: 500 * time.Millisecond, Max: 5 * time.Second}
	err := retry.Loop(waiting, policy, a.log, "cannot "+what+"; retrying", func(context.Context) error {
		last = try(ctx)
		if errors.Is(last, errStore) && a.diskFull() == nil {
			return last
		}
		return retry.Permanent(last)
	})
	if errors.Is(err, errStopping) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err != nil && last != nil {
		err = last // more helpful than that the time is up
	}
	if errors.Is(err, errStore) {
		return problem.New(problem.StoreUnavailable, "The file storage failed.").Because(fmt.Errorf("%s: %w", what, err))
	}
	return err
}

// errStore means that the store failed, or that a file could not be written while it was being transferred.
var errStore = errors.New("the file storage failed")

// fetch copies the document to a file and checks that it is the one that was submitted.
func (a *attempt) fetch(ctx context.Context, path string) error {
	err := a.transfer(ctx, "fetch the document", func(ctx context.Context) error { return a.tryFetch(ctx, path) })
	switch {
	case err == nil:
		a.misses.found()
	case errors.Is(err, blob.ErrNotFound) && a.misses.missed(a.command.GetJobId()):
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	return err
}

// fetchStall is how long the store may send nothing of a document before the fetch is tried again.
const fetchStall = 30 * time.Second

func (a *attempt) tryFetch(ctx context.Context, path string) error {
	source := a.command.GetSource()
	marked := make(chan error, 1)
	go func() { marked <- a.marked(ctx) }() // at the same time: most jobs are not canceled
	content, err := blob.GetUnlessStalled(ctx, a.Sources, source.GetObjectKey(), 0, -1, fetchStall)
	if failure := <-marked; failure != nil {
		if err == nil {
			_ = content.Close()
		}
		return failure
	}
	if errors.Is(err, blob.ErrNotFound) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	defer content.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create a file for the document: %w", err)
	}
	defer file.Close() // the Close below is checked
	sum := sha256.New()
	// One byte more than announced is enough to detect another file.
	size, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(content, source.GetSize()+1))
	if errors.Is(err, syscall.ENOSPC) {
		return engine.NoSpace(err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	if size != source.GetSize() || !bytes.Equal(sum.Sum(nil), source.GetSha256()) {
		return fmt.Errorf("%w: the stored file is not the one that was submitted", errMissing)
	}
	return nil
}

// store stores the result under a key that no other attempt has, and returns its description.
func (a *attempt) store(ctx context.Context, output engine.Output, is format.Target) (*conversionv1.Result, error) {
	file, err := os.Open(output.Path)
	if err != nil {
		return nil, fmt.Errorf("open the result: %w", err)
	}
	defer file.Close()
	// The hash is computed first: a store that has the blob from an earlier try does not read it again.
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	key := a.command.GetJobId() + "/" + uuid.NewString() + "." + is.Extension
	err = a.transfer(ctx, "store the result", func(ctx context.Context) error {
		content := io.NewSectionReader(file, 0, size)
		err := a.Results.Put(ctx, key, content, size, blob.PutOptions{ContentType: is.MediaType, CreateOnce: true})
		if err != nil && !errors.Is(err, blob.ErrExists) { // an earlier try stored it, and its answer was lost
			return fmt.Errorf("%w: %w", errStore, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &conversionv1.Result{
		ObjectKey: key, ContentType: is.MediaType, Size: size, Sha256: sum.Sum(nil), Pages: int32(output.Pages),
	}, nil
}
