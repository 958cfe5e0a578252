package datadir_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/contract/blob"
	"github.com/docmill/docmill/contract/cancellation"
	"github.com/docmill/docmill/contract/claim"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/platform/directory"
	"github.com/docmill/docmill/platform/sqlite"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/job"
)

func open(t *testing.T, path string) (*datadir.Dir, error) {
	t.Helper()
	return datadir.Open(t.Context(), path, zap.NewNop(), prometheus.NewRegistry())
}

// kill does what the death of the process does to the directory: the lock is free, and still has its mark.
func kill(t *testing.T, dir *datadir.Dir, path string) {
	t.Helper()
	mark, err := os.ReadFile(filepath.Join(path, "lock"))
	require.NoError(t, err)
	require.NoError(t, dir.Close())
	require.NoError(t, os.WriteFile(filepath.Join(path, "lock"), mark, 0o600))
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "data")
	dir, err := open(t, path)
	require.NoError(t, err)
	_, err = open(t, path)
	require.ErrorIs(t, err, datadir.ErrInUse)
	require.ErrorContains(t, err, path)
	require.NoError(t, dir.Close())
	dir, err = open(t, path)
	require.NoError(t, err)
	require.NoError(t, dir.Close())
}

func TestTemporaryDirectory(t *testing.T) {
	t.Parallel()
	dir, err := datadir.OpenTemporary(t.Context(), filepath.Join(t.TempDir(), "data"), zap.NewNop(), prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dir.Close()) })
	key := uuid.NewString()
	require.NoError(t, dir.Sources.Put(t.Context(), key, strings.NewReader("document"), 8, blob.PutOptions{}))
	size, err := dir.Sources.Stat(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, 8, size)
	require.NoError(t, dir.Check(t.Context()))
}

func TestNewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	for _, component := range []string{"jobs", "messages"} {
		t.Run(component, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			dir, err := open(t, path)
			require.NoError(t, err)
			require.NoError(t, dir.Close())
			database, err := sql.Open("sqlite", filepath.Join(path, "docmill.db"))
			require.NoError(t, err)
			_, err = database.ExecContext(t.Context(), "UPDATE schema_versions SET version = 99 WHERE component = ?", component)
			require.NoError(t, err)
			require.NoError(t, database.Close())

			_, err = open(t, path)
			require.ErrorIs(t, err, sqlite.ErrNewerVersion)
			require.ErrorContains(t, err, "version 99")
		})
	}
}

func TestSealKeyIsCreatedOnce(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := open(t, path)
	require.NoError(t, err)
	first, err := dir.SealKey()
	require.NoError(t, err)
	require.NoError(t, dir.Close())
	info, err := os.Stat(filepath.Join(path, "seal.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	dir, err = open(t, path)
	require.NoError(t, err)
	second, err := dir.SealKey()
	require.NoError(t, err)
	require.Equal(t, first.Reveal(), second.Reveal())
	require.NoError(t, dir.Close())
}

// TestOrphansOfADeadProcess has every kind of file that a process can die with. Those that a job or a message refers to
// stay, as do those that are not Docmill's; the others are deleted, but only after a death.
func TestOrphansOfADeadProcess(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := open(t, path)
	require.NoError(t, err)
	finished, pending, reported, placeholder := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	sources := []string{sourceKey(finished), sourceKey(pending), sourceKey(reported)}
	keep := map[*directory.Bucket][]string{
		dir.Sources: sources,
		dir.Results: {
			finished.String() + "/won.pdf", reported.String() + "/reported.pdf",
			placeholder.String() + "/one.pdf", placeholder.String() + "/other.pdf",
		},
	}
	for _, id := range []uuid.UUID{finished, pending} {
		keep[dir.Sources] = append(keep[dir.Sources], putClaim(t, dir, id))
	}
	keep[dir.Sources] = append(keep[dir.Sources], claim.SecretKey)
	abandoned := putClaim(t, dir, uuid.New())
	orphans := map[*directory.Bucket][]string{
		dir.Sources: {finished.String(), uuid.NewString()},
		dir.Results: {finished.String() + "/lost.pdf", pending.String() + "/cut-off.pdf", uuid.NewString() + "/x.pdf"},
	}
	foreign := map[*directory.Bucket][]string{
		dir.Sources: {"what.is.this", "d41d8cd98f00b204e9800998ecf8427e", "canceled/notes.txt", "installation/id"},
		dir.Results: {"what.is.this", "d41d8cd98f00b204e9800998ecf8427e/x.pdf", uuid.NewString()},
	}
	for _, files := range []map[*directory.Bucket][]string{keep, orphans, foreign} {
		for bucket, keys := range files {
			for _, key := range keys {
				if !claim.IsKey(key) {
					put(t, bucket, key)
				}
			}
		}
	}
	apply(t, dir, submitted(finished), succeeded(finished, uuid.Nil, "/won.pdf"), submitted(reported),
		succeeded(placeholder, uuid.New(), "/one.pdf"), succeeded(placeholder, uuid.New(), "/other.pdf"))
	publish(t, dir, pending, &conversionv1.ConvertRequested{
		JobId: pending.String(), ClaimKey: claimKey(pending), Source: &conversionv1.Source{ObjectKey: sourceKey(pending)},
	})
	publish(t, dir, reported, &conversionv1.ConversionSucceeded{
		JobId: reported.String(), Result: &conversionv1.Result{ObjectKey: reported.String() + "/reported.pdf"},
	})
	const left = 7 + 1                // the foreign files, and a placeholder that has ended
	const problems = 2 + 1 + 3 + left // with the orphans
	report, err := dir.Inspect(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Problems, problems)
	require.Equal(t, 3, report.Messages, "the command twice, and the event")

	require.NoError(t, dir.Close())
	dir, err = open(t, path)
	require.NoError(t, err)
	report, err = dir.Inspect(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Problems, problems, "nothing is deleted after a clean stop")

	kill(t, dir, path)
	reading, err := datadir.OpenToRead(t.Context(), path)
	require.NoError(t, err)
	report, err = reading.Inspect(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Problems, problems, "reading deletes nothing")
	require.NoError(t, reading.Close())

	dir, err = open(t, path)
	require.NoError(t, err)
	report, err = dir.Inspect(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Problems, left)
	for bucket, keys := range foreign {
		for _, key := range keys {
			require.Contains(t, report.Problems, "file "+bucket.Path(key)+" is not one of Docmill's, which leaves it alone: move it out of the data directory")
		}
	}
	_, err = dir.Sources.Stat(t.Context(), abandoned)
	require.ErrorIs(t, err, blob.ErrNotFound)
	for _, key := range keep[dir.Sources] {
		_, err := dir.Sources.Stat(t.Context(), key)
		require.NoError(t, err)
	}
	for _, key := range keep[dir.Results] {
		_, err := dir.Results.Stat(t.Context(), key)
		require.NoError(t, err)
	}
	require.NoError(t, dir.Close())
}

func TestInspectFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir, err := open(t, t.TempDir())
	require.NoError(t, err)
	id := uuid.New()
	require.NoError(t, dir.Sources.Put(t.Context(), sourceKey(id), strings.NewReader("cont"), 4, blob.PutOptions{}))
	apply(t, dir, submitted(id), job.Ended{
		ID: job.ID(id), Status: job.Succeeded, FinishedAt: time.Now(),
		Result: &job.Result{ObjectKey: id.String() + "/gone.pdf", Size: 7, SHA256: make([]byte, 32)},
	})
	report, err := dir.Inspect(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[job.Status]int{job.Succeeded: 1}, report.Jobs)
	require.Len(t, report.Problems, 2)
	require.Contains(t, report.Problems[0], "has 4 bytes instead of 7")
	require.Contains(t, report.Problems[1], "gone.pdf is missing")
	require.NoError(t, dir.Close())
}

// TestFilesOfTombstones has deleted and expired jobs, and a job whose document was deleted. Their files are a problem once
// their deletion is recorded.
func TestFilesOfTombstones(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := open(t, path)
	require.NoError(t, err)
	deleted, expired, without := uuid.New(), uuid.New(), uuid.New()
	reasons := map[uuid.UUID]string{
		deleted: "job " + deleted.String() + " and its files were deleted",
		expired: "job " + expired.String() + " has expired and its files were deleted",
		without: "the document of job " + without.String() + " was deleted at the end of its retention",
	}
	var problems []string
	for id, reason := range reasons {
		result := id.String() + "/won.pdf"
		put(t, dir.Sources, sourceKey(id))
		put(t, dir.Results, result)
		apply(t, dir, submitted(id), succeeded(id, uuid.Nil, "/won.pdf"))
		problems = append(problems, "file "+dir.Sources.Path(sourceKey(id))+" exists, although "+reason+": delete the file")
		if id != without {
			problems = append(problems, "file "+dir.Results.Path(result)+" exists, although "+reason+": delete the file")
		}
	}
	inspect := func() []string {
		report, err := dir.Inspect(t.Context())
		require.NoError(t, err)
		return report.Problems
	}
	require.NoError(t, cancellation.Mark(t.Context(), dir.Sources, deleted.String(), 0))
	putClaim(t, dir, deleted)
	now := time.Now().UTC().Truncate(time.Microsecond)
	apply(t, dir,
		job.Removed{ID: job.ID(deleted), Reason: job.Deleted, At: now, Until: now.Add(time.Hour)},
		job.Removed{ID: job.ID(expired), Reason: job.Expired, At: now, Until: now.Add(time.Hour)},
		job.SourceRemoved{ID: job.ID(without), LeasedUntil: now.Add(time.Minute)})
	require.Empty(t, inspect(), "the deletion is still due")
	apply(t, dir, job.FilesRemoved{ID: job.ID(deleted)}, job.FilesRemoved{ID: job.ID(expired)}, job.Settled{ID: job.ID(without)})
	require.ElementsMatch(t, problems, inspect())

	kill(t, dir, path)
	dir, err = open(t, path)
	require.NoError(t, err)
	require.Empty(t, inspect(), "the start after a crash deletes them")
	marked, err := cancellation.Marked(t.Context(), dir.Sources, deleted.String(), 0)
	require.NoError(t, err)
	require.True(t, marked, "it stays as long as the row")
	_, err = dir.Sources.Stat(t.Context(), claimKey(deleted))
	require.NoError(t, err)
	require.NoError(t, dir.Close())
}

func TestReadingNeedsADirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none")
	_, err := datadir.OpenToRead(t.Context(), path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoDirExists(t, path)
}

// sourceKey returns the key of a job's document, which differs from its id.
func sourceKey(id uuid.UUID) string { return uuid.NewSHA1(id, nil).String() }

func claimKey(id uuid.UUID) string { return claim.Prefix + id.String() }

// put puts a file of 7 bytes.
func put(t *testing.T, bucket *directory.Bucket, key string) {
	t.Helper()
	require.NoError(t, bucket.Put(t.Context(), key, strings.NewReader("content"), 7, blob.PutOptions{}))
}

// putClaim puts the claim of a job and returns its key.
func putClaim(t *testing.T, dir *datadir.Dir, id uuid.UUID) string {
	t.Helper()
	command := &conversionv1.ConvertRequested{JobId: id.String(), ClaimKey: claimKey(id)}
	require.NoError(t, claim.Put(t.Context(), dir.Sources, &conversionv1.Claim{Command: command, SettledBy: timestamppb.Now()}))
	return claimKey(id)
}

func submitted(id uuid.UUID) job.Event {
	return job.Submitted{ID: job.ID(id), Submission: job.Submission{
		RequestedAt: time.Now(), ObjectKey: sourceKey(id), Filename: "a.docx", Format: "docx", Size: 7, SHA256: make([]byte, 32), TargetFormat: "pdf",
	}}
}

func succeeded(id, submission uuid.UUID, result string) job.Event {
	return job.Ended{
		ID: job.ID(id), SubmissionID: submission, Status: job.Succeeded, FinishedAt: time.Now(),
		Result: &job.Result{ObjectKey: id.String() + result, Size: 7, SHA256: make([]byte, 32)},
	}
}

func apply(t *testing.T, dir *datadir.Dir, events ...job.Event) {
	t.Helper()
	during(t, dir.Jobs.Run, func() {
		_, err := dir.Jobs.Apply(t.Context(), events)
		require.NoError(t, err)
	})
}

func publish(t *testing.T, dir *datadir.Dir, id uuid.UUID, body proto.Message) {
	t.Helper()
	publisher, err := dir.Messages.Broker("test", zap.NewNop(), nil).NewPublisher(message.PublisherOptions{})
	require.NoError(t, err)
	during(t, publisher.Run, func() {
		require.NoError(t, publisher.Publish(t.Context(), message.Message{Body: body, JobID: id.String()}))
	})
}

// during calls f while a component runs.
func during(t *testing.T, run func(context.Context, func(), <-chan struct{}) error, f func()) {
	t.Helper()
	ready, drain, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- run(t.Context(), func() { close(ready) }, drain) }()
	<-ready
	f()
	close(drain)
	require.NoError(t, <-ended)
}
