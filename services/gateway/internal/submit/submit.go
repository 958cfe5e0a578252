// Package submit turns an upload into a job: it stores the document, detects its format, and publishes the message that
// accepts the job. Until that message is confirmed the job does not exist, and any failure leaves nothing behind.
package submit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/backlog"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
	"github.com/docmill/docmill/services/gateway/internal/resultcache"
	"github.com/docmill/docmill/services/gateway/internal/upload"
	"github.com/docmill/docmill/services/gateway/internal/withdrawal"
)

const (
	// headSize is how much of a document is read before anything is stored: documents that fit are stored only when
	// they are known to be right, in one request. It is above the median of real office documents.
	headSize = 256 << 10
	// storeStall is how long the store may accept no data of an upload, or not finish it, before the upload is aborted. It
	// is twice the time after which the store's client stops waiting for a response.
	storeStall = time.Minute
	// detectTimeout bounds the reading of a stored document: at most 40 small requests, mostly two to ten.
	detectTimeout = 30 * time.Second
	// deleteTimeout limits the deletion of a rejected upload, which continues after the client has disconnected.
	deleteTimeout = 15 * time.Second
)

// Retry-After when a dependency is down or busy.
const (
	busyRetryAfter  = 2 * time.Second
	storeRetryAfter = 5 * time.Second
)

// Publisher publishes a message and returns nil once it is durable; see [message.Publisher].
type Publisher interface {
	Publish(ctx context.Context, m message.Message) error
}

// Jobs tells which jobs exist.
type Jobs interface {
	// Known reports whether there is, or was, a job with that id. False is certain: the job will not appear later. While
	// that is not certain, it returns an error.
	Known(ctx context.Context, id string) (bool, error)
}

// Submitter accepts jobs. It is safe for concurrent use.
type Submitter struct {
	// Sources stores the documents.
	Sources blob.Bucket
	// Detector examines the documents.
	Detector *detect.Detector
	// Publisher publishes the jobs.
	Publisher Publisher
	// PublishTimeout limits how long a publication may take.
	PublishTimeout time.Duration
	// JobDeadline is how long after its submission a job is converted.
	JobDeadline time.Duration
	// Backlog is notified when the queue is full.
	Backlog *backlog.Backlog
	// Withdrawals receives the jobs that were rejected although the status service may have received their submission.
	Withdrawals *withdrawal.Withdrawals
	// Names are the names of the claims of Idempotency-Keys.
	Names *idempotency.Names
	// Lookups limits how many claims are looked up at once; see NewLookups.
	Lookups *semaphore.Weighted
	// Jobs tells which jobs exist.
	Jobs Jobs
	// Grace is how long after its publication a submission may delete its claim, and how much the clocks of gateways may
	// differ.
	Grace time.Duration
	// Cache finds the results of earlier jobs; nil if they are not reused.
	Cache *resultcache.Cache
	// Seal encrypts passwords; nil if they are not accepted.
	Seal *seal.Box
	Log  *zap.Logger
}

// request returns the request to convert a stored document. The id of the job is created now, not when the upload began,
// which may be hours ago: the status service concludes from the time in an unknown id that there is no such job.
func (s *Submitter) request(
	submission string, source *conversionv1.Source, options upload.Options,
) (*conversionv1.ConvertRequested, error) {
	id, err := newID()
	if err != nil {
		return nil, fmt.Errorf("create a job id: %w", err)
	}
	request := requested(source, options)
	if request.Target.SealedSecrets, err = s.seal(id, options.Chosen.Secrets()); err != nil {
		return nil, err
	}
	if err := s.Cache.Prepare(request); err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond) // the precision of the database
	request.JobId, request.SubmissionId = id, submission
	request.RequestedAt, request.ExpiresAt = timestamppb.New(now), timestamppb.New(now.Add(s.JobDeadline))
	return request, nil
}

// callback returns what the client wants to be reported; nil for nothing.
func callback(wanted *upload.Callback) *conversionv1.Callback {
	if wanted == nil {
		return nil
	}
	return &conversionv1.Callback{Url: wanted.URL, Events: wanted.Events}
}

// requested returns what the client requests: the parts of a request that are the same if the client repeats it, except
// for the secrets.
func requested(source *conversionv1.Source, options upload.Options) *conversionv1.ConvertRequested {
	request := &conversionv1.ConvertRequested{
		Source:   source,
		Target:   &conversionv1.Target{Format: options.To, Options: options.Chosen.Options()},
		Tag:      options.Tag,
		Callback: callback(options.Callback),
	}
	if options.Retention > 0 {
		request.Retention = durationpb.New(options.Retention)
	}
	return request
}

// seal returns the sealed secrets of a job, or nil if it has none.
func (s *Submitter) seal(id string, secrets *conversionv1.Secrets) ([]byte, error) {
	if secrets == nil {
		return nil, nil
	}
	plain, err := proto.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("encode the secrets: %w", err)
	}
	defer clear(plain)
	return s.Seal.Seal(id, plain), nil
}

// newID returns the id of a job or a submission: a UUIDv7.
func newID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}

// keep stores the document under the key and returns its type. After an error nothing remains in the store.
func (s *Submitter) keep(ctx context.Context, key string, document *upload.Upload) (*conversionv1.Source, error) {
	head, whole, err := readHead(ctx, document)
	if err != nil {
		return nil, err
	}
	if whole {
		return s.keepSmall(ctx, key, document, head)
	}
	return s.keepLarge(ctx, key, document, head)
}

// readHead reads the beginning of the document and refuses what is obviously not a document. whole reports whether head
// is the whole document. readHead takes the upload's slot when the first bytes have arrived: a client that sends
// nothing, or a form without a file, holds no slot, and less memory than 64 KiB.
func readHead(ctx context.Context, upload *upload.Upload) (head []byte, whole bool, err error) {
	head = make([]byte, sizeOf(upload, detect.PrefixSize))
	n, err := io.ReadFull(upload, head)
	whole = ended(err)
	switch {
	case err != nil && !whole:
		return nil, false, err
	case !whole:
		// A slow client need not send the rest of a document that is refused anyway.
		if err := detect.DetectPrefix(ctx, head, upload.Filename); err != nil {
			return nil, false, refusal(err)
		}
	}
	if err := upload.Start(ctx); err != nil {
		return nil, false, err
	}
	if whole {
		return head[:n], true, nil
	}
	head = append(make([]byte, 0, sizeOf(upload, headSize)), head...)
	n, err = io.ReadFull(upload, head[n:cap(head)])
	head = head[:detect.PrefixSize+n]
	switch {
	case ended(err):
		return head, true, nil
	case err != nil:
		return nil, false, err
	}
	return head, false, nil
}

// sizeOf returns the size of a buffer for the upload: limit, or if the upload is smaller, one byte more than that, to
// see its end.
func sizeOf(upload *upload.Upload, limit int) int {
	if upload.Size >= 0 && upload.Size < int64(limit) {
		return int(upload.Size) + 1
	}
	return limit
}

// ended reports whether io.ReadFull returned err at the regular end of an upload. An upload wraps neither of the two.
func ended(err error) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF //nolint:errorlint // see above
}

func (s *Submitter) keepSmall(ctx context.Context, key string, upload *upload.Upload, content []byte) (*conversionv1.Source, error) {
	result, err := s.detect(ctx, bytes.NewReader(content), int64(len(content)), upload)
	if err != nil {
		return nil, err
	}
	putting, stop := withStall(ctx)
	defer stop.end()
	err = s.Sources.Put(putting, key, bytes.NewReader(content), int64(len(content)), blob.PutOptions{ContentType: result.Format.MediaType})
	if err != nil {
		s.remove(ctx, key) // it may exist if only the response was lost
		return nil, storeUnavailable(err)
	}
	sum := sha256.Sum256(content)
	return sourceOf(key, upload, result.Format, int64(len(content)), sum[:]), nil
}

func (s *Submitter) keepLarge(ctx context.Context, key string, upload *upload.Upload, head []byte) (*conversionv1.Source, error) {
	size, sum, err := s.stream(ctx, key, upload, head)
	if err != nil {
		return nil, err
	}
	reading, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	result, err := s.detect(reading, blob.NewReaderAt(reading, s.Sources, key, size), size, upload)
	if err != nil {
		s.remove(ctx, key)
		return nil, err
	}
	return sourceOf(key, upload, result.Format, size, sum), nil
}

// stream stores head and the rest of the upload while their SHA-256 is computed.
func (s *Submitter) stream(ctx context.Context, key string, upload *upload.Upload, head []byte) (size int64, sum []byte, err error) {
	putting, stall := withStall(ctx)
	defer stall.end()
	hash := sha256.New()
	content := &lent{source: io.TeeReader(inPieces(io.MultiReader(bytes.NewReader(head), upload)), hash), stall: stall}
	// The type is known only later, and no reader of the blob uses this one.
	err = s.Sources.Put(putting, key, content, upload.Size, blob.PutOptions{ContentType: "application/octet-stream"})
	if err == nil {
		// A put of a known size may stop there; the end of the request still has to be read.
		_, err = io.Copy(io.Discard, content)
	}
	size, failure := content.takeBack()
	if failure != nil {
		err = failure // the upload's own error, not the one that the store's client returned for it
	} else if err != nil {
		err = storeUnavailable(err)
	}
	if err != nil {
		s.remove(ctx, key)
		return 0, nil, err
	}
	return size, hash.Sum(nil), nil
}

// detect determines the type of the document and whether it can be converted as requested.
func (s *Submitter) detect(
	ctx context.Context, content io.ReaderAt, size int64, upload *upload.Upload,
) (detect.Result, error) {
	result, err := s.Detector.Detect(ctx, content, size, upload.Filename)
	if err != nil {
		return detect.Result{}, refusal(err)
	}
	if err := upload.Options.Suit(result.Format); err != nil {
		return detect.Result{}, err
	}
	if result.Encrypted && upload.Options.Chosen.Secrets().GetPassword() == "" {
		return detect.Result{}, problem.New(problem.PasswordRequired, "The document is encrypted.")
	}
	return result, nil
}

// accept answers the request with an earlier result, or publishes it before the time until. own is its claim, or nil.
func (s *Submitter) accept(
	ctx context.Context, request *conversionv1.ConvertRequested, own *conversionv1.Claim, until time.Time,
) error {
	if cause := context.Cause(ctx); cause != nil {
		s.discard(ctx, request, own)
		return problem.New(problem.UploadInterrupted, "The client disconnected before the job was accepted.").Because(cause)
	}
	outcome := s.Cache.Answer(context.WithoutCancel(ctx), request)
	if outcome == resultcache.Answered {
		return nil
	}
	err := s.publish(ctx, request, until)
	switch {
	case err == nil:
		return nil
	case outcome == resultcache.None && rejected(err):
		s.discard(ctx, request, own)
		return backlog.Unavailable(backlog.RetryAfter).Because(err)
	default:
		unconfirmed := problem.New(problem.QueueUnconfirmed, "The queue did not confirm the job in time.")
		return unconfirmed.About(request.GetJobId()).After(backlog.RetryAfter).Because(err)
	}
}

// rejected reports whether a request that was not published will not be converted.
func rejected(err error) bool { return message.NotEnqueued(err) || errors.Is(err, message.ErrNacked) }

// publish publishes the request before the time until. After an error that means that it was rejected, it will not be converted.
func (s *Submitter) publish(ctx context.Context, request *conversionv1.ConvertRequested, until time.Time) error {
	// From here on the job is wanted even if the client disconnects: a publication cannot be undone.
	publishing, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	err := s.Publisher.Publish(publishing, message.Message{Body: request, JobID: request.GetJobId()})
	if rejected(err) && !message.NotEnqueued(err) {
		// The other queue may hold the message. The withdrawal and the deletion are independent, so that a failure of
		// one does not prevent the other. Neither harms a job: the client is told that there is none.
		s.Withdrawals.Add(ctx, request.GetJobId(), request.GetSubmissionId())
	}
	if errors.Is(err, message.ErrNacked) {
		s.Backlog.Rejected()
	}
	return err
}

// remove deletes what was stored, also if the client has disconnected. What cannot be deleted is logged.
func (s *Submitter) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := s.Sources.Delete(ctx, key); err != nil {
		s.Log.Warn("rejected upload may remain in the store", zap.String("object_key", key), logging.Trace(ctx), zap.Error(err))
	}
}

var refusalCodes = map[detect.Reason]problem.Code{
	detect.Empty:         problem.FileEmpty,
	detect.Unrecognized:  problem.FileUnrecognized,
	detect.Unsupported:   problem.FormatUnsupported,
	detect.Contradiction: problem.FileTypeContradicted,
	detect.Damaged:       problem.DocumentMalformed,
	detect.TooComplex:    problem.DocumentTooComplex,
}

// refusal returns the problem of a document that is rejected.
func refusal(err error) error {
	if errors.Is(err, detect.ErrBusy) {
		return problem.New(problem.Busy, "Too many documents are being examined.").After(busyRetryAfter).Because(err)
	}
	var refused *detect.Refusal
	if !errors.As(err, &refused) {
		return storeUnavailable(err) // reading from memory cannot fail
	}
	return problem.New(refusalCodes[refused.Reason], "%s", refused.Error()).Because(err)
}

func storeUnavailable(err error) error {
	if errors.Is(err, blob.ErrFull) {
		return problem.New(problem.StoreUnavailable, "The file storage is full.").After(storeRetryAfter).Because(err)
	}
	return problem.New(problem.StoreUnavailable, "The document could not be stored.").After(storeRetryAfter).Because(err)
}

func sourceOf(key string, upload *upload.Upload, format format.Format, size int64, sum []byte) *conversionv1.Source {
	return &conversionv1.Source{
		ObjectKey: key, Filename: upload.Filename, Format: format.ID, ContentType: format.MediaType, Size: size, Sha256: sum,
	}
}

// accepted returns the job in the state right after its publication.
func accepted(request *conversionv1.ConvertRequested) jobapi.Job {
	source := request.GetSource()
	return jobapi.Job{
		ID: request.GetJobId(), Status: jobapi.Queued, CreatedAt: request.GetRequestedAt().AsTime(),
		Source: jobapi.Source{
			Filename: source.GetFilename(), ContentType: source.GetContentType(),
			Size: source.GetSize(), SHA256: hex.EncodeToString(source.GetSha256()),
		},
		Target: jobapi.Target{Format: request.GetTarget().GetFormat(), Options: option.Values(request.GetTarget().GetOptions())},
		Tag:    request.GetTag(),
		Links:  jobapi.LinksTo(request.GetJobId(), jobapi.Queued),
	}
}
