package datadir

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/contract/objectkey"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/services/status/job"
)

// deleteOrphans deletes the files that no job needs and returns their number: uploads that were never accepted, results of attempts
// that were cut off, and files whose deletion a power failure has undone. It must run while nothing else uses the directory.
func (d *Dir) deleteOrphans(ctx context.Context) (int, error) {
	orphans := 0
	for found, err := range d.unneeded(ctx) {
		if err != nil {
			return orphans, err
		}
		if found.use == foreign {
			continue
		}
		if err := found.bucket.Delete(ctx, found.key); err != nil {
			return orphans, err
		}
		orphans++
	}
	return orphans, nil
}

// file is a file of a bucket.
type file struct {
	bucket *directory.Bucket
	key    string
	use    use
	// job is the job of a remnant.
	job job.Job
}

// use is the reason why a file is kept or deleted.
type use int

const (
	// needed is a file that a job or a stored message refers to.
	needed use = iota
	// orphan is a file that belongs to no job.
	orphan
	// remnant is a file of a job whose record says that the file was deleted.
	remnant
	// foreign is a file whose name does not have the form that Docmill uses. It is never deleted.
	foreign
)

// unneeded returns all files whose use is not needed.
func (d *Dir) unneeded(ctx context.Context) iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		pending, err := d.pending(ctx)
		if err != nil {
			yield(file{}, err)
			return
		}
		for _, bucket := range []*directory.Bucket{d.Sources, d.Results} {
			for blob, err := range bucket.List(ctx, "", "") {
				found := file{bucket: bucket, key: blob.Key}
				if err == nil {
					found.use, found.job, err = d.judge(ctx, found, pending)
				}
				if err == nil && found.use == needed {
					continue
				}
				if !yield(found, err) || err != nil {
					return
				}
			}
		}
	}
}

// judge returns the use of a file and, for a remnant, its job.
func (d *Dir) judge(ctx context.Context, f file, pending map[string]bool) (u use, j job.Job, err error) {
	if f.bucket == d.Sources {
		u, j, err = d.judgeSource(ctx, f.key)
	} else {
		u, j, err = d.judgeResult(ctx, f.key)
	}
	if u == orphan && pending[f.key] {
		u = needed
	}
	return u, j, err
}

// judgeResult is judge for a file of the results bucket. It ignores pending messages.
func (d *Dir) judgeResult(ctx context.Context, key string) (use, job.Job, error) {
	id, named := objectkey.JobOfResult(key)
	if !named {
		return foreign, job.Job{}, nil
	}
	j, found, err := d.Jobs.Find(ctx, id)
	_, results := keysOf(j)
	_, left := j.FilesLeft()
	return useOf(found && slices.Contains(results, key), left), j, err
}

// useOf returns the use of a file. refers means that a job refers to it, and left that this job does not record its deletion.
func useOf(refers, left bool) use {
	switch {
	case !refers:
		return orphan
	case left:
		return needed
	default:
		return remnant
	}
}

// judgeSource is judge for a file of the sources bucket, which also has the records of idempotency keys and the markers of cancellations.
// It ignores pending messages.
func (d *Dir) judgeSource(ctx context.Context, key string) (use, job.Job, error) {
	marked, marker := cancellation.JobOf(key)
	switch {
	case key == claim.SecretKey:
		return needed, job.Job{}, nil
	case claim.IsKey(key):
		return d.judgeClaim(ctx, key)
	case marker:
		return d.judgeTrace(ctx, marked)
	case !objectkey.IsDocument(key):
		return foreign, job.Job{}, nil
	}
	j, found, err := d.Jobs.FindBySource(ctx, key)
	left, _ := j.FilesLeft()
	return useOf(found, left), j, err
}

// judgeClaim is judge for the record of an idempotency key.
func (d *Dir) judgeClaim(ctx context.Context, key string) (use, job.Job, error) {
	found, err := claim.Get(ctx, d.Sources, key)
	if err != nil && !errors.Is(err, claim.ErrUnreadable) {
		return needed, job.Job{}, err
	}
	id, invalid := uuid.Parse(found.GetCommand().GetJobId())
	if err != nil || invalid != nil {
		return needed, job.Job{}, nil //nolint:nilerr // perhaps a newer release wrote it
	}
	return d.judgeTrace(ctx, id)
}

// judgeTrace is judge for a file that is kept as long as the job has a row, even if that is a tombstone.
func (d *Dir) judgeTrace(ctx context.Context, id uuid.UUID) (use, job.Job, error) {
	j, found, err := d.Jobs.Find(ctx, id)
	return useOf(found, true), j, err
}

// keysOf returns the keys of the documents and results that a job refers to, or may refer to once its submission is known.
func keysOf(j job.Job) (sources, results []string) {
	for _, record := range append(slices.Clone(j.Others), j.Record) {
		if record.Submission != nil {
			sources = append(sources, record.Submission.ObjectKey)
		}
		if record.Result != nil {
			results = append(results, record.Result.ObjectKey)
		}
	}
	return sources, results
}

// errForeignMessage means that a message of another version is stored, which may refer to any file.
var errForeignMessage = errors.New("a stored message is of another version")

// pending returns the keys of the files that stored messages refer to. It returns errForeignMessage if that is unknown.
func (d *Dir) pending(ctx context.Context) (map[string]bool, error) {
	keys := map[string]bool{}
	for d, err := range d.Messages.All(ctx) {
		if err != nil {
			return nil, err
		}
		body, err := d.Message()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errForeignMessage, err)
		}
		if err := collectKeys(body, keys); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// collectKeys adds the values of all fields of a message, and of its parts, that are named object_key or claim_key.
func collectKeys(body proto.Message, keys map[string]bool) error {
	return protorange.Range(body.ProtoReflect(), func(at protopath.Values) error {
		last := at.Index(-1)
		if last.Step.Kind() != protopath.FieldAccessStep {
			return nil
		}
		if name := last.Step.FieldDescriptor().Name(); name == "object_key" || name == "claim_key" {
			keys[last.Value.String()] = true
		}
		return nil
	})
}

// DeleteFiles deletes the document and the result of a job that has ended. Both are then missing for [Dir.Inspect].
func (d *Dir) DeleteFiles(ctx context.Context, id uuid.UUID) error {
	j, _, err := d.Jobs.Find(ctx, id)
	sources, results := keysOf(j)
	for _, source := range sources {
		err = errors.Join(err, d.Sources.Delete(ctx, source))
	}
	for _, result := range results {
		err = errors.Join(err, d.Results.Delete(ctx, result))
	}
	return err
}

// Report is what is in a data directory.
type Report struct {
	// Jobs counts the jobs by their status; Messages counts the stored messages.
	Jobs     map[job.Status]int
	Messages int
	// Problems describes what is wrong; empty if nothing is.
	Problems []string
}

// maxProblems bounds a report.
const maxProblems = 100

func (r *Report) problemf(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Inspect checks that the database is intact, that every job has the files that it refers to, and that there are no other files. It
// reads the whole database.
func (d *Dir) Inspect(ctx context.Context) (Report, error) {
	report := Report{Jobs: map[job.Status]int{}}
	if err := d.database.IntegrityCheck(ctx); err != nil {
		report.problemf("%v", err)
	}
	for _, err := range d.Messages.All(ctx) {
		if err != nil {
			return report, err
		}
		report.Messages++
	}
	for j, err := range d.Jobs.All(ctx) {
		if err != nil {
			return report, err
		}
		report.Jobs[j.Status]++
		if err := d.inspectJob(ctx, j, &report); err != nil {
			return report, err
		}
	}
	return report, d.inspectFiles(ctx, &report)
}

// inspectFiles reports the files that are not needed.
func (d *Dir) inspectFiles(ctx context.Context, report *Report) error {
	for found, err := range d.unneeded(ctx) {
		if errors.Is(err, errForeignMessage) {
			report.problemf("files that belong to no job: not checked: %v", err)
			break
		}
		if err != nil {
			return err
		}
		report.problemf("file %s %s", found.bucket.Path(found.key), found.problem())
	}
	for _, bucket := range []*directory.Bucket{d.Sources, d.Results} {
		for path, err := range bucket.Foreign(ctx) {
			if err != nil {
				return err
			}
			report.problemf("file %s %s", path, file{use: foreign}.problem())
		}
	}
	return nil
}

// problem says what is wrong with a file that is not needed, and what to do.
func (f file) problem() string {
	switch {
	case f.use == foreign:
		return "is not one of Docmill's, which leaves it alone: move it out of the data directory"
	case f.use == orphan:
		return "belongs to no job: docmill serve deletes it when it is a few days old, or when it starts after a crash"
	case f.job.Gone == "":
		return fmt.Sprintf("exists, although the document of job %s was deleted at the end of its retention: delete the file", f.job.ID)
	case f.job.Gone == job.Deleted:
		return fmt.Sprintf("exists, although job %s and its files were deleted: delete the file", f.job.ID)
	default:
		return fmt.Sprintf("exists, although job %s has expired and its files were deleted: delete the file", f.job.ID)
	}
}

// inspectJob checks the files of a job.
func (d *Dir) inspectJob(ctx context.Context, j job.Job, report *Report) error {
	if j.Gone != "" {
		return nil
	}
	if s := j.Submission; s != nil && !j.SourceDeleted {
		if err := inspectFile(ctx, d.Sources, j.ID, s.ObjectKey, s.Size, report); err != nil {
			return err
		}
	} else if s == nil && j.Status.Terminal() {
		report.problemf("job %s has ended, but its submission is unknown", j.ID)
	}
	if r := j.Result; r != nil {
		return inspectFile(ctx, d.Results, j.ID, r.ObjectKey, r.Size, report)
	}
	return nil
}

func inspectFile(ctx context.Context, bucket *directory.Bucket, id uuid.UUID, key string, want int64, report *Report) error {
	size, err := bucket.Stat(ctx, key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		report.problemf("job %s: file %s is missing", id, key)
	case err != nil:
		return err
	case size != want:
		report.problemf("job %s: file %s has %d bytes instead of %d", id, key, size, want)
	}
	return nil
}
