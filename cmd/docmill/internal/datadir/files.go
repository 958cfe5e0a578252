package datadir

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"

	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/services/status/job"
)

// deleteOrphans deletes the files that belong to no job and returns their number: uploads that were never accepted, and
// results of attempts that were cut off. It must run before anything else uses the directory.
func (d *Dir) deleteOrphans(ctx context.Context) (int, error) {
	orphans := 0
	for orphan, err := range d.orphans(ctx) {
		if err != nil {
			return orphans, err
		}
		if err := orphan.bucket.Delete(ctx, orphan.key); err != nil {
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
}

// orphans returns the files that neither a job nor a stored message refers to.
func (d *Dir) orphans(ctx context.Context) iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		pending, err := d.pending(ctx)
		if err != nil {
			yield(file{}, err)
			return
		}
		for _, bucket := range []*directory.Bucket{d.Sources, d.Results} {
			for blob, err := range bucket.List(ctx, "", "") {
				belongs := pending[blob.Key]
				if err == nil && !belongs {
					belongs, err = d.belongs(ctx, bucket, blob.Key)
				}
				if belongs && err == nil {
					continue
				}
				if !yield(file{bucket, blob.Key}, err) || err != nil {
					return
				}
			}
		}
	}
}

// belongs reports whether a job refers to a file. The key of a result begins with the id of its job.
func (d *Dir) belongs(ctx context.Context, bucket *directory.Bucket, key string) (bool, error) {
	if bucket == d.Sources {
		return d.sourceBelongs(ctx, key)
	}
	id, _, _ := strings.Cut(key, "/")
	jobID, err := uuid.Parse(id)
	if err != nil {
		return false, nil //nolint:nilerr // no job has such a file
	}
	_, results, err := d.Jobs.Files(ctx, jobID)
	return slices.Contains(results, key), err
}

// sourceBelongs reports the same for a file of the bucket of the sources.
func (d *Dir) sourceBelongs(ctx context.Context, key string) (bool, error) {
	if key == claim.SecretKey {
		return true, nil
	}
	if claim.IsKey(key) {
		return d.claimBelongs(ctx, key)
	}
	id, marker := cancellation.JobOf(key)
	if !marker {
		return d.Jobs.HasSource(ctx, key)
	}
	jobID, err := uuid.Parse(id)
	if err != nil {
		return false, nil //nolint:nilerr // no job has such a marker
	}
	sources, _, err := d.Jobs.Files(ctx, jobID)
	return len(sources) > 0, err
}

// claimBelongs reports whether the job of a claim is recorded, if only as deleted.
func (d *Dir) claimBelongs(ctx context.Context, key string) (bool, error) {
	found, err := claim.Get(ctx, d.Sources, key)
	if errors.Is(err, claim.ErrUnreadable) {
		return true, nil // perhaps a newer release wrote it
	}
	if err != nil {
		return false, err
	}
	id, err := uuid.Parse(found.GetCommand().GetJobId())
	if err != nil {
		return true, nil //nolint:nilerr // as above
	}
	sources, _, err := d.Jobs.Files(ctx, id)
	return len(sources) > 0, err
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
	sources, results, err := d.Jobs.Files(ctx, id)
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

// Inspect checks that the database is intact, that every job has the files that it refers to, and that no file belongs
// to no job. It reads the whole database.
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
	for orphan, err := range d.orphans(ctx) {
		if errors.Is(err, errForeignMessage) {
			report.problemf("files that belong to no job: not checked: %v", err)
			break
		}
		if err != nil {
			return report, err
		}
		report.problemf("file %s belongs to no job", orphan.key)
	}
	return report, nil
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
