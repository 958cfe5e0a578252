// Package submit turns an upload into a job: it stores the document, detects its format, and publishes the one
// message by which the job is accepted. Until that message is confirmed the job does not exist, and a failure leaves
// nothing behind.
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
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/document"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/seal"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/upload"
)

const (
	// headSize is how much of a document is read before anything is stored. Documents that fit are stored after they
	// have been checked, in one request. It is above the median of real office documents.
	headSize = 256 << 10
	// storeStall is how long the store may accept no data of an upload, or not complete it, before the upload is
	// aborted. It is twice the time that the store's client waits for a response.
	storeStall = time.Minute
	// detectTimeout limits the reading of a stored document: at most 40 small requests, mostly two to ten.
	detectTimeout = 30 * time.Second
	// deleteTimeout limits the removal of what must not stay. It continues after the client has disconnected.
	deleteTimeout = 15 * time.Second
)

// The Retry-After of responses while something that Docmill needs is down.
const (
	storeRetryAfter = 5 * time.Second
	queueRetryAfter = 5 * time.Second
)

// Publisher publishes a message and returns nil once it is durable; see [message.Publisher].
type Publisher interface {
	Publish(ctx context.Context, m message.Message) error
}

// Submitter accepts jobs. It is safe for concurrent use.
type Submitter struct {
	// Sources stores the documents.
	Sources blob.Bucket
	// Publisher publishes the jobs.
	Publisher Publisher
	// PublishTimeout limits how long a publication may take.
	PublishTimeout time.Duration
	// Seal seals passwords; nil if they are not accepted.
	Seal *seal.Box
	Log  *zap.Logger
}

// Submit reads the upload to its end and accepts it as a job. If it returns nil, the job is durable. If it returns an
// error, which is a problem, there is no job, except for problem.QueueUnconfirmed. ctx is that of the request: if it
// ends before the job is published, because the client has disconnected, there is no job.
func (s *Submitter) Submit(ctx context.Context, document *upload.Upload) (jobapi.Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return jobapi.Job{}, fmt.Errorf("create a job id: %w", err)
	}
	target, err := s.target(id.String(), document.Options)
	if err != nil {
		return jobapi.Job{}, err
	}
	source, err := s.keep(ctx, id.String(), document)
	if err != nil {
		return jobapi.Job{}, err
	}
	request := &conversionv1.ConvertRequested{
		JobId:       id.String(),
		RequestedAt: timestamppb.New(time.Now().UTC().Truncate(time.Microsecond)), // the precision of databases
		Source:      source,
		Target:      target,
		Tag:         document.Options.Tag,
	}
	if err := s.publish(ctx, request); err != nil {
		return jobapi.Job{}, err
	}
	return accepted(request), nil
}

// target returns the requested target, with its secrets sealed.
func (s *Submitter) target(id string, options upload.Options) (*conversionv1.Target, error) {
	target := &conversionv1.Target{Format: options.To, Options: options.Chosen.Options()}
	if secrets := options.Chosen.Secrets(); secrets != nil {
		plain, err := proto.Marshal(secrets)
		if err != nil {
			return nil, fmt.Errorf("encode the secrets: %w", err)
		}
		target.SealedSecrets = s.Seal.Seal(id, plain)
		clear(plain)
	}
	return target, nil
}

// keep stores the document with the key and returns what it is. If it returns an error, nothing stays in the store.
func (s *Submitter) keep(ctx context.Context, key string, document *upload.Upload) (*conversionv1.Source, error) {
	head, whole, err := readHead(document)
	if err != nil {
		return nil, err
	}
	if whole {
		return s.keepSmall(ctx, key, document, head)
	}
	return s.keepLarge(ctx, key, document, head)
}

// readHead reads the beginning of the document and rejects what cannot be a document. whole reports whether the head
// is all of it.
func readHead(upload *upload.Upload) (head []byte, whole bool, err error) {
	size := headSize
	if upload.Size >= 0 && upload.Size < headSize {
		size = int(upload.Size) + 1 // one more, to detect the end
	}
	head = make([]byte, size)
	n, err := io.ReadFull(upload, head[:min(size, document.PrefixSize)])
	if err == nil {
		// A slow client need not send the rest of what is rejected anyway.
		if err := document.RecognisePrefix(head[:n], upload.Filename); err != nil {
			return nil, false, refusal(err)
		}
		var more int
		more, err = io.ReadFull(upload, head[n:])
		n += more
	}
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // returned by io.ReadFull itself, only at the regular end of the upload
		return head[:n], true, nil
	case err != nil:
		return nil, false, err
	}
	return head, false, nil
}

func (s *Submitter) keepSmall(
	ctx context.Context, key string, upload *upload.Upload, content []byte,
) (*conversionv1.Source, error) {
	recognition, err := detect(bytes.NewReader(content), int64(len(content)), upload)
	if err != nil {
		return nil, err
	}
	putting, stop := withStall(ctx)
	defer stop.end()
	options := blob.PutOptions{ContentType: recognition.Format.MediaType}
	err = s.Sources.Put(putting, key, bytes.NewReader(content), int64(len(content)), options)
	if err != nil {
		s.remove(ctx, key) // it may be stored if only the response was lost
		return nil, storeUnavailable(err)
	}
	sum := sha256.Sum256(content)
	return sourceOf(key, upload, recognition.Format, int64(len(content)), sum[:]), nil
}

func (s *Submitter) keepLarge(
	ctx context.Context, key string, upload *upload.Upload, head []byte,
) (*conversionv1.Source, error) {
	size, sum, err := s.stream(ctx, key, upload, head)
	if err != nil {
		return nil, err
	}
	reading, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	recognition, err := detect(blob.NewReaderAt(reading, s.Sources, key, size), size, upload)
	if err != nil {
		s.remove(ctx, key)
		return nil, err
	}
	return sourceOf(key, upload, recognition.Format, size, sum), nil
}

// stream stores head and the rest of the upload, and computes their SHA-256.
func (s *Submitter) stream(
	ctx context.Context, key string, upload *upload.Upload, head []byte,
) (size int64, sum []byte, err error) {
	putting, stall := withStall(ctx)
	defer stall.end()
	hash := sha256.New()
	content := &lent{source: io.TeeReader(io.MultiReader(bytes.NewReader(head), upload), hash), stall: stall}
	// The media type is known later; no reader of the object uses this one.
	err = s.Sources.Put(putting, key, content, upload.Size, blob.PutOptions{ContentType: "application/octet-stream"})
	if err == nil {
		// A put of a known size stops there; the end of the request must still be read.
		_, err = io.Copy(io.Discard, content)
	}
	size, failure := content.takeBack()
	if failure != nil {
		err = failure // the upload's own error, not how the store's client wraps it
	} else if err != nil {
		err = storeUnavailable(err)
	}
	if err != nil {
		s.remove(ctx, key)
		return 0, nil, err
	}
	return size, hash.Sum(nil), nil
}

// detect determines what the document is, and checks whether it can be converted as requested.
func detect(content io.ReaderAt, size int64, upload *upload.Upload) (document.Recognition, error) {
	recognition, err := document.Recognise(content, size, upload.Filename)
	if err != nil {
		return document.Recognition{}, refusal(err)
	}
	if err := upload.Options.Suit(recognition.Format); err != nil {
		return document.Recognition{}, err
	}
	if recognition.Encrypted && upload.Options.Chosen.Secrets().GetPassword() == "" {
		return document.Recognition{}, problem.New(problem.PasswordRequired, "The document is encrypted.")
	}
	return recognition, nil
}

func (s *Submitter) publish(ctx context.Context, request *conversionv1.ConvertRequested) error {
	if cause := context.Cause(ctx); cause != nil {
		s.remove(ctx, request.GetJobId())
		return problem.New(problem.UploadInterrupted, "The client disconnected before the job was accepted.").Because(cause)
	}
	// From here on the job is accepted even if the client disconnects: a publication cannot be undone.
	publishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.PublishTimeout)
	defer cancel()
	err := s.Publisher.Publish(publishing, message.Message{Body: request, JobID: request.GetJobId()})
	switch {
	case err == nil:
		return nil
	case message.NotEnqueued(err), errors.Is(err, message.ErrNacked):
		// A nack may leave the message in the other queue. The response says that there is no job; if a converter
		// receives it nevertheless, the job fails because its source is missing.
		s.remove(ctx, request.GetJobId())
		return problem.New(problem.QueueUnavailable, "The queue does not accept jobs at present.").
			After(queueRetryAfter).Because(err)
	default:
		return problem.New(problem.QueueUnconfirmed, "The queue did not confirm the job in time.").
			After(queueRetryAfter).Because(err)
	}
}

// remove removes what was stored, even if the client has disconnected. What cannot be removed is logged.
func (s *Submitter) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := s.Sources.Delete(ctx, key); err != nil {
		s.Log.Warn("a rejected upload may stay in the store", logging.JobID(key), logging.Trace(ctx), zap.Error(err))
	}
}

// refusal returns the problem for a document that is not accepted.
func refusal(err error) error {
	var refused *document.Refusal
	if !errors.As(err, &refused) {
		return storeUnavailable(err) // reading from memory cannot fail
	}
	codes := map[document.Reason]problem.Code{
		document.Empty:          problem.FileEmpty,
		document.Unrecognisable: problem.FileUnrecognized,
		document.Unsupported:    problem.FormatUnsupported,
		document.Contradiction:  problem.FileTypeContradicted,
		document.Damaged:        problem.DocumentMalformed,
		document.TooComplex:     problem.DocumentTooComplex,
	}
	return problem.New(codes[refused.Reason], "%s", refused.Error()).Because(err)
}

func storeUnavailable(err error) error {
	if errors.Is(err, blob.ErrFull) {
		return problem.New(problem.StoreUnavailable, "The file store is full.").After(storeRetryAfter).Because(err)
	}
	return problem.New(problem.StoreUnavailable, "The document could not be stored.").After(storeRetryAfter).Because(err)
}

func sourceOf(key string, upload *upload.Upload, format document.Format, size int64, sum []byte) *conversionv1.Source {
	return &conversionv1.Source{
		ObjectKey: key, Filename: upload.Filename, Format: format.ID, ContentType: format.MediaType, Size: size, Sha256: sum,
	}
}

// accepted returns the job as it is right after its publication.
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
