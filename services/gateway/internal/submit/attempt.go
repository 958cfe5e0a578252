package submit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/logging"
	"github.com/docmill/docmill/platform/retry"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/gateway/internal/idempotency"
	"github.com/docmill/docmill/services/gateway/internal/upload"
)

const (
	// claimTimeout limits a request to the store about a claim.
	claimTimeout = 10 * time.Second
	// maxLookups is how many claims are looked up at once, and lookupWait how long further lookups wait. Each request with an
	// Idempotency-Key causes a lookup, which takes a few milliseconds.
	maxLookups = 64
	lookupWait = 2 * time.Second
)

// NewLookups returns the limit on concurrent lookups of claims.
func NewLookups() *semaphore.Weighted { return semaphore.NewWeighted(maxLookups) }

// Accepted is the job of a submission.
type Accepted struct {
	Job jobapi.Job
	// Repeated reports whether the submission repeats an earlier one with the same Idempotency-Key. Job is then the job of the
	// earlier one, as it was created; it is not known whether it was accepted.
	Repeated bool
}

// Attempt is one request to submit a document. It must not be used concurrently.
type Attempt struct {
	submitter *Submitter
	header    http.Header
	// claimKey is the key of the claim; empty if the request has no Idempotency-Key.
	claimKey string
	// earlier is the claim of an earlier request with the same Idempotency-Key; nil if there is none.
	earlier *conversionv1.Claim
}

// Begin begins a request with these headers.
func (s *Submitter) Begin(header http.Header) *Attempt { return &Attempt{submitter: s, header: header} }

// Precheck is Admit for requests without an Idempotency-Key, for which nothing is read from the store. It always admits the others.
func (a *Attempt) Precheck(ctx context.Context) error {
	key, err := idempotency.KeyOf(a.header)
	if err != nil || key != "" {
		return err
	}
	return a.submitter.Backlog.Check(ctx)
}

// Admit returns a problem if no document should be received for the request now. It must be called before Submit. A
// request that repeats an earlier one is admitted even if the queue accepts no jobs.
func (a *Attempt) Admit(ctx context.Context) error {
	key, err := idempotency.KeyOf(a.header)
	if err != nil {
		return err
	}
	if key != "" {
		if err := a.lookUp(ctx, key); err != nil {
			return err
		}
	}
	if a.earlier != nil {
		return nil
	}
	return a.submitter.Backlog.Check(ctx)
}

// lookUp looks for the claim of an earlier request with that key.
func (a *Attempt) lookUp(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	found, err := a.get(ctx, key)
	if err != nil || found == nil || a.submitter.abandoned(ctx, found) {
		return err
	}
	a.earlier = found
	return nil
}

// get returns the claim of the key, or nil if there is none. Its errors are problems.
func (a *Attempt) get(ctx context.Context, key string) (*conversionv1.Claim, error) {
	s := a.submitter
	waiting, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	if err := s.Lookups.Acquire(waiting, 1); err != nil {
		return nil, problem.New(problem.Busy, "Too many submissions with an %s.", idempotency.Header).After(busyRetryAfter).Because(err)
	}
	defer s.Lookups.Release(1)
	const client = "" // there is only one
	var err error
	if a.claimKey, err = s.Names.ClaimKey(ctx, client, key); err != nil {
		return nil, storeUnavailable(err)
	}
	found, err := claim.Get(ctx, s.Sources, a.claimKey)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return nil, nil //nolint:nilnil // see above
	case err != nil:
		return nil, storeUnavailable(err)
	}
	return found, nil
}

// abandoned reports whether the claim's gateway has died before it published the job, and deletes the claim in that case. As
// long as that is not certain, the claim counts.
func (s *Submitter) abandoned(ctx context.Context, found *conversionv1.Claim) bool {
	if time.Since(found.GetSettledBy().AsTime()) < s.Grace {
		return false
	}
	id := found.GetCommand().GetJobId()
	if known, err := s.Jobs.Known(ctx, id); err != nil || known {
		return false // it is known, or not known yet
	}
	// Another gateway may have come to the same conclusion, and the key may have a new claim.
	if err := claim.Release(ctx, s.Sources, found.GetCommand().GetClaimKey(), id); err != nil {
		return false
	}
	s.Log.Info("deleted the claim of a job that was never published", logging.JobID(id), logging.Trace(ctx))
	return true
}

// Submit reads the upload to its end and accepts it as a job. When it returns nil, and the submission does not repeat
// another one, the job is durable. Its errors are problems, and mean that no job exists, except for
// problem.QueueUnconfirmed, which has the id of the job. ctx is the request's: if it ends before the job is published,
// because the client has disconnected, no job exists either.
func (a *Attempt) Submit(ctx context.Context, document *upload.Upload) (Accepted, error) {
	if a.earlier != nil {
		size, sum, err := digest(ctx, document)
		if err != nil {
			return Accepted{}, err
		}
		return a.repeat(document.Options, &conversionv1.Source{Filename: document.Filename, Size: size, Sha256: sum})
	}
	return a.first(ctx, document)
}

// digest reads the upload without storing it.
func digest(ctx context.Context, document *upload.Upload) (int64, []byte, error) {
	hash := sha256.New()
	buffer := make([]byte, pieceSize)
	n, err := io.ReadFull(document, buffer)
	if err != nil && !ended(err) {
		return 0, nil, err
	}
	if err := document.Start(ctx); err != nil { // only when the first bytes have arrived
		return 0, nil, err
	}
	_, _ = hash.Write(buffer[:n]) // never fails
	rest, err := io.Copy(hash, inPieces(document))
	if err != nil {
		return 0, nil, err
	}
	return int64(n) + rest, hash.Sum(nil), nil
}

// repeat answers with the job of the earlier submission if this one is the same.
func (a *Attempt) repeat(options upload.Options, source *conversionv1.Source) (Accepted, error) {
	same, err := idempotency.Repeats(a.earlier, requested(source, options), options.Chosen.Secrets(), a.submitter.Seal)
	if err != nil || !same {
		reused := problem.New(problem.IdempotencyKeyReused, "This key was used for another document, or for this document with another name or other options.")
		return Accepted{}, reused.Because(err)
	}
	return Accepted{Job: accepted(a.earlier.GetCommand()), Repeated: true}, nil
}

// first stores the document and publishes it, unless another request with the same key comes first.
func (a *Attempt) first(ctx context.Context, document *upload.Upload) (Accepted, error) {
	s := a.submitter
	request, err := s.store(ctx, document)
	if err != nil {
		return Accepted{}, err
	}
	until := time.Now().Add(s.PublishTimeout)
	var own *conversionv1.Claim
	if a.claimKey != "" {
		request.ClaimKey = a.claimKey
		own, err = idempotency.Claim(request, document.Options.Chosen.Secrets(), s.Seal, until.Add(s.Grace))
		if err != nil {
			s.remove(ctx, request.GetSource().GetObjectKey())
			return Accepted{}, err
		}
		if a.earlier, err = s.claim(ctx, own, until); err != nil {
			return Accepted{}, err
		}
	}
	if a.earlier != nil {
		s.remove(ctx, request.GetSource().GetObjectKey())
		return a.repeat(document.Options, request.GetSource())
	}
	if err := s.accept(ctx, request, own, until); err != nil {
		return Accepted{}, err
	}
	return Accepted{Job: accepted(request)}, nil
}

// claimRetries are the retries for a claim that could neither be put nor read, or that disappeared between the two.
var claimRetries = retry.Policy{Initial: 100 * time.Millisecond, Max: time.Second}

// claim puts the claim of a stored document. If another request has the claim, it returns that one. After an error the
// document is deleted, unless the claim may exist: then the sweep of the status service deletes both.
func (s *Submitter) claim(ctx context.Context, own *conversionv1.Claim, until time.Time) (earlier *conversionv1.Claim, err error) {
	claiming, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	err = retry.Loop(claiming, claimRetries, s.Log, "a submission could not be claimed; retrying", func(ctx context.Context) error {
		put := claim.Put(ctx, s.Sources, own)
		if put == nil {
			return nil
		}
		// The present claim may be the own one: then only the answer of the store was lost.
		var failure error
		earlier, failure = s.other(ctx, own)
		if errors.Is(failure, blob.ErrNotFound) && errors.Is(put, blob.ErrFull) {
			return retry.Permanent(put)
		}
		if failure != nil {
			return errors.Join(put, failure)
		}
		return nil
	})
	if err == nil {
		return earlier, nil
	}
	return s.unclaimed(ctx, own, err)
}

// other returns the claim of the other request that has the key, or nil if own is the present claim.
func (s *Submitter) other(ctx context.Context, own *conversionv1.Claim) (*conversionv1.Claim, error) {
	found, err := claim.Get(ctx, s.Sources, own.GetCommand().GetClaimKey())
	if err != nil {
		return nil, err
	}
	if found.GetCommand().GetSubmissionId() == own.GetCommand().GetSubmissionId() {
		return nil, nil //nolint:nilnil // see above
	}
	return found, nil
}

// unclaimed ends a submission that could not be claimed in time. It returns the claim of another request after all, or the
// problem.
func (s *Submitter) unclaimed(ctx context.Context, own *conversionv1.Claim, cause error) (*conversionv1.Claim, error) {
	looking, cancel := context.WithDeadline(context.WithoutCancel(ctx), own.GetSettledBy().AsTime())
	defer cancel()
	earlier, err := s.other(looking, own)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		s.remove(ctx, own.GetCommand().GetSource().GetObjectKey())
	case err != nil:
		s.Log.Warn("a submission that could not be claimed may remain in the store",
			zap.String("object_key", own.GetCommand().GetSource().GetObjectKey()), logging.Trace(ctx), zap.Error(err))
	case earlier != nil:
		return earlier, nil
	default:
		s.discard(ctx, own.GetCommand(), own)
	}
	return nil, storeUnavailable(cause)
}

// discard deletes what is left of a submission that was rejected. own is its claim, or nil. The claim is deleted first, and
// only within its time: until then nobody else replaces it. As long as there is a claim, its document is kept.
func (s *Submitter) discard(ctx context.Context, request *conversionv1.ConvertRequested, own *conversionv1.Claim) {
	if own != nil {
		deleting, cancel := context.WithDeadline(context.WithoutCancel(ctx), own.GetSettledBy().AsTime())
		defer cancel()
		if err := s.release(deleting, own); err != nil {
			s.Log.Warn("the claim of a rejected submission may remain in the store",
				zap.String("object_key", request.GetClaimKey()), logging.Trace(ctx), zap.Error(err))
			return
		}
	}
	s.remove(ctx, request.GetSource().GetObjectKey())
}

// release deletes a claim.
func (s *Submitter) release(ctx context.Context, own *conversionv1.Claim) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// If the clock of a gateway is wrong, another submission may have the key by now.
	return claim.Release(ctx, s.Sources, own.GetCommand().GetClaimKey(), own.GetCommand().GetJobId())
}

// store keeps the document and returns the request to convert it.
func (s *Submitter) store(ctx context.Context, document *upload.Upload) (*conversionv1.ConvertRequested, error) {
	// Another submission, even under the same job id, must neither overwrite nor delete the document of this one.
	submission, err := newID()
	if err != nil {
		return nil, fmt.Errorf("create the id of a submission: %w", err)
	}
	source, err := s.keep(ctx, submission, document)
	if err != nil {
		return nil, err
	}
	request, err := s.request(submission, source, document.Options)
	if err != nil {
		s.remove(ctx, submission)
		return nil, err
	}
	return request, nil
}
