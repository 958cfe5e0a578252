// Package submit makes a job of an upload: it stores the document, recognises it, and publishes the one message that is
// the job's acceptance. Until that message is confirmed the job does not exist, and whatever goes wrong leaves nothing
// behind.
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
	// headSize is how much of a document is read before anything is stored: documents that fit are stored only when
	// they are known to be right, in one request. It is above the median of real office documents.
	headSize = 256 << 10
	// storeStall is how long the store may take nothing of an upload, or not end it, before the upload is given up. It is
	// twice the time after which the store's client gives up waiting for an answer.
	storeStall = time.Minute
	// recogniseTimeout bounds the reading of a stored document: at most 40 small requests, mostly two to ten.
	recogniseTimeout = 30 * time.Second
	// deleteTimeout bounds the removal of what must not stay; it goes on when the client has left.
	deleteTimeout = 15 * time.Second
)

// What a client is told to wait before it tries again, when something that Docmill needs is down.
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
	// Seal closes passwords; nil when they are not taken.
	Seal *seal.Box
	Log  *zap.Logger
}

// Submit reads the upload to its end and accepts it as a job. When it returns nil the job is durable; when it returns an
// error, which is a problem, there is no job, with the one exception of problem.QueueUnconfirmed. ctx is the request's:
// when it ends before the job is published, because the client has left, there is no job either.
func (s *Submitter) Submit(ctx context.Context, document *upload.Upload) (jobapi.Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return jobapi.Job{}, fmt.Errorf("make a job id: %w", err)
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
		RequestedAt: timestamppb.New(time.Now().UTC().Truncate(time.Microsecond)), // what a database keeps of it
		Source:      source,
		Target:      target,
		Tag:         document.Options.Tag,
	}
	if err := s.publish(ctx, request); err != nil {
		return jobapi.Job{}, err
	}
	return accepted(request), nil
}

// target is what was asked for, with its secrets sealed.
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

// keep stores the document under the key and says what it is. On an error nothing stays in the store.
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

// readHead reads the beginning of the document and refuses what it already shows to be no document. whole says that there
// is no more than the head.
func readHead(upload *upload.Upload) (head []byte, whole bool, err error) {
	size := headSize
	if upload.Size >= 0 && upload.Size < headSize {
		size = int(upload.Size) + 1 // one more, to see the end
	}
	head = make([]byte, size)
	n, err := io.ReadFull(upload, head[:min(size, document.PrefixSize)])
	if err == nil {
		// A slow client is not kept sending what is refused anyway.
		if err := document.RecognisePrefix(head[:n], upload.Filename); err != nil {
			return nil, false, refusal(err)
		}
		var more int
		more, err = io.ReadFull(upload, head[n:])
		n += more
	}
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // io.ReadFull's own, for the upload's good end only
		return head[:n], true, nil
	case err != nil:
		return nil, false, err
	}
	return head, false, nil
}

func (s *Submitter) keepSmall(ctx context.Context, key string, upload *upload.Upload, content []byte) (*conversionv1.Source, error) {
	recognition, err := recognise(bytes.NewReader(content), int64(len(content)), upload)
	if err != nil {
		return nil, err
	}
	putting, stop := withStall(ctx)
	defer stop.end()
	err = s.Sources.Put(putting, key, bytes.NewReader(content), int64(len(content)), blob.PutOptions{ContentType: recognition.Format.MediaType})
	if err != nil {
		s.remove(ctx, key) // it may be there all the same, when only the answer was lost
		return nil, storeUnavailable(err)
	}
	sum := sha256.Sum256(content)
	return sourceOf(key, upload, recognition.Format, int64(len(content)), sum[:]), nil
}

func (s *Submitter) keepLarge(ctx context.Context, key string, upload *upload.Upload, head []byte) (*conversionv1.Source, error) {
	size, sum, err := s.stream(ctx, key, upload, head)
	if err != nil {
		return nil, err
	}
	reading, cancel := context.WithTimeout(ctx, recogniseTimeout)
	defer cancel()
	recognition, err := recognise(blob.NewReaderAt(reading, s.Sources, key, size), size, upload)
	if err != nil {
		s.remove(ctx, key)
		return nil, err
	}
	return sourceOf(key, upload, recognition.Format, size, sum), nil
}

// stream stores head and the rest of the upload while their SHA-256 is computed.
func (s *Submitter) stream(ctx context.Context, key string, upload *upload.Upload, head []byte) (size int64, sum []byte, err error) {
	putting, stall := withStall(ctx)
	defer stall.end()
	hash := sha256.New()
	content := &lent{source: io.TeeReader(io.MultiReader(bytes.NewReader(head), upload), hash), stall: stall}
	// The final type is only known later, and no reader of the object goes by this one.
	err = s.Sources.Put(putting, key, content, upload.Size, blob.PutOptions{ContentType: "application/octet-stream"})
	if err == nil {
		// A put of a known size stops there; the end of the request is still to be seen.
		_, err = io.Copy(io.Discard, content)
	}
	size, failure := content.takeBack()
	if failure != nil {
		err = failure // the document's own, and not what the store's client made of it
	} else if err != nil {
		err = storeUnavailable(err)
	}
	if err != nil {
		s.remove(ctx, key)
		return 0, nil, err
	}
	return size, hash.Sum(nil), nil
}

// recognise finds out what the document is and whether it can become what its owner wants.
func recognise(content io.ReaderAt, size int64, upload *upload.Upload) (document.Recognition, error) {
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
		return problem.New(problem.UploadInterrupted, "The client left before the job was accepted.").Because(cause)
	}
	// From here on the job is wanted even if the client leaves: half a publication cannot be taken back.
	publishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.PublishTimeout)
	defer cancel()
	err := s.Publisher.Publish(publishing, message.Message{Body: request, JobID: request.GetJobId()})
	switch {
	case err == nil:
		return nil
	case message.NotEnqueued(err), errors.Is(err, message.ErrNacked):
		// A nack may leave the message in the other queue; the client is told that there is no job, and a converter that
		// gets it all the same fails it for want of its source.
		s.remove(ctx, request.GetJobId())
		return problem.New(problem.QueueUnavailable, "The queue takes no jobs at present.").After(queueRetryAfter).Because(err)
	default:
		return problem.New(problem.QueueUnconfirmed, "The queue did not say in time whether it has taken the job.").After(queueRetryAfter).Because(err)
	}
}

// remove takes back what was stored, also for a client that has left. What a store that is down keeps, is said in the log.
func (s *Submitter) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := s.Sources.Delete(ctx, key); err != nil {
		s.Log.Warn("a refused upload may stay in the store", logging.JobID(key), logging.Trace(ctx), zap.Error(err))
	}
}

// refusal says in the API's words why a document is not taken.
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

// accepted is the job as it stands right after its publication.
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
