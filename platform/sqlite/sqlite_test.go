package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/platform/sqlite"
)

func migrations(scripts ...string) fs.FS {
	files := fstest.MapFS{}
	for i, script := range scripts {
		files[fmt.Sprintf("%03d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(script)}
	}
	return files
}

const createNotes = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;"

// open opens a database with the table notes.
func open(t testing.TB, path string, options sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context(), "notes", migrations(createNotes)))
	return db
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "a file with % and ?.db") }

func insert(text string) func(context.Context, *sqlite.Tx) error {
	return func(ctx context.Context, tx *sqlite.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO notes (text) VALUES (?)", text)
		return err
	}
}

func count(t testing.TB, db *sqlite.DB) int {
	t.Helper()
	var n int
	require.NoError(t, db.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM notes").Scan(&n))
	return n
}

// commits returns how many transactions were committed.
func commits(t testing.TB, registry *prometheus.Registry) int {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	n := 0
	for _, family := range families {
		if family.GetName() == "docmill_sqlite_commits_total" {
			for _, m := range family.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

func TestWritesSurviveClosing(t *testing.T) {
	t.Parallel()
	path := file(t)
	db := open(t, path, sqlite.Options{})
	require.NoError(t, db.Write(t.Context(), sqlite.Relaxed, insert("a")))
	require.NoError(t, db.Check(t.Context()))
	require.NoError(t, db.IntegrityCheck(t.Context()))
	require.NoError(t, db.Close())
	require.NoError(t, db.Close(), "again")
	require.ErrorIs(t, db.Write(t.Context(), sqlite.Relaxed, insert("b")), sqlite.ErrClosed)
	require.Error(t, db.Check(t.Context()))
	require.NoFileExists(t, path+"-wal", "the log is in the database")

	require.Equal(t, 1, count(t, open(t, path, sqlite.Options{})))
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	path := file(t)
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	open(t, path, sqlite.Options{})
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode(), name)
	}
}

// TestGroupCommit blocks the writer, lets writes gather, and counts the transactions.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	const writes = 100
	registry := prometheus.NewRegistry()
	db := open(t, file(t), sqlite.Options{Metrics: registry})
	before := commits(t, registry)
	blocked, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = db.Write(t.Context(), sqlite.Durable, func(context.Context, *sqlite.Tx) error {
			close(blocked)
			<-release
			return nil
		})
	})
	<-blocked
	results := make([]error, writes)
	for i := range writes {
		all.Go(func() { results[i] = db.Write(t.Context(), sqlite.Durable, insert(fmt.Sprint(i/2))) })
	}
	require.Eventually(t, func() bool { return sqlite.Waiting(db) == writes }, waitFor, tick)
	close(release)
	all.Wait()

	failed := 0
	for _, err := range results {
		if err != nil {
			failed++
		}
	}
	require.Equal(t, writes/2, failed, "one of each two equal texts")
	require.Equal(t, writes/2, count(t, db), "what failed affects no neighbor")
	require.LessOrEqual(t, commits(t, registry)-before, 2)
}

// TestDurability reads the level that is in effect within the transaction.
func TestDurability(t *testing.T) {
	t.Parallel()
	db := open(t, file(t), sqlite.Options{})
	level := func(durability sqlite.Durability) (n int) {
		require.NoError(t, db.Write(t.Context(), durability, func(ctx context.Context, tx *sqlite.Tx) error {
			return tx.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&n)
		}))
		return n
	}
	const normal, full = 1, 2
	for range 2 {
		require.Equal(t, full, level(sqlite.Durable))
		require.Equal(t, normal, level(sqlite.Relaxed))
	}
}

func TestCanceledWrites(t *testing.T) {
	t.Parallel()
	db := open(t, file(t), sqlite.Options{})
	begun, release := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var first, second error
	var both sync.WaitGroup
	both.Go(func() {
		first = db.Write(ctx, sqlite.Durable, func(ctx context.Context, tx *sqlite.Tx) error {
			close(begun)
			<-release
			return insert("first")(ctx, tx)
		})
	})
	<-begun
	both.Go(func() { second = db.Write(ctx, sqlite.Durable, insert("second")) })
	require.Eventually(t, func() bool { return sqlite.Waiting(db) == 1 }, waitFor, tick)
	cancel()
	both.Wait()
	close(release)
	require.ErrorIs(t, first, sqlite.ErrUnknownOutcome)
	require.ErrorIs(t, first, context.Canceled)
	require.ErrorIs(t, second, context.Canceled)
	require.NotErrorIs(t, second, sqlite.ErrUnknownOutcome)
	require.NoError(t, db.Write(t.Context(), sqlite.Durable, insert("third")))
	require.Equal(t, 2, count(t, db), "the first and the third")
	require.ErrorIs(t, db.Write(ctx, sqlite.Durable, insert("fourth")), context.Canceled)
}

func TestReaderCannotWrite(t *testing.T) {
	t.Parallel()
	db := open(t, file(t), sqlite.Options{})
	_, err := db.Reader().ExecContext(t.Context(), "DELETE FROM notes")
	require.Error(t, err)
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	path := file(t)
	const second = "ALTER TABLE notes ADD COLUMN author TEXT; CREATE INDEX by_author ON notes (author);"
	db := open(t, path, sqlite.Options{})
	require.NoError(t, db.Write(t.Context(), sqlite.Durable, insert("a")))
	require.NoError(t, db.Migrate(t.Context(), "notes", migrations(createNotes)), "again")
	require.NoError(t, db.Migrate(t.Context(), "other", migrations("CREATE TABLE others (id INTEGER) STRICT;")))
	require.Error(t, db.Migrate(t.Context(), "notes", migrations(createNotes, second, "CREATE TABLE broken (")))
	require.NoError(t, db.Migrate(t.Context(), "notes", migrations(createNotes, second)), "the failed one left nothing")
	require.Equal(t, 1, count(t, db))
	require.NoError(t, db.Close())

	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	require.NoError(t, err)
	defer db.Close()
	err = db.Migrate(t.Context(), "notes", migrations(createNotes))
	require.ErrorIs(t, err, sqlite.ErrNewerVersion)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "version 2")
	require.ErrorContains(t, err, "up to 1")
	require.Error(t, db.Migrate(t.Context(), "gap", fstest.MapFS{"002_step.sql": {Data: []byte("SELECT 1;")}}))
}

func TestCorruptFile(t *testing.T) {
	t.Parallel()
	path := file(t)
	require.NoError(t, os.WriteFile(path, []byte("this is a text and not a database, however long it may become"), 0o600))
	_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	require.ErrorIs(t, err, sqlite.ErrCorrupt)
}

func TestDamagedPages(t *testing.T) {
	t.Parallel()
	path := file(t)
	db := open(t, path, sqlite.Options{})
	for i := range 200 {
		require.NoError(t, db.Write(t.Context(), sqlite.Relaxed, insert(fmt.Sprintf("%0500d", i))))
	}
	require.NoError(t, db.Close())
	raw, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	info, err := raw.Stat()
	require.NoError(t, err)
	junk := make([]byte, 4096)
	for i := range junk {
		junk[i] = 0x5a
	}
	for at := info.Size() / 2 / 4096 * 4096; at < info.Size(); at += 4096 {
		_, err = raw.WriteAt(junk, at)
		require.NoError(t, err)
	}
	require.NoError(t, raw.Close())
	db, err = sqlite.Open(t.Context(), path, sqlite.Options{})
	require.NoError(t, err)
	defer db.Close()
	require.ErrorIs(t, db.IntegrityCheck(t.Context()), sqlite.ErrCorrupt)
}

// TestFullDisk fills a small tmpfs if it may mount one, and otherwise a database of limited size.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, options, limited := t.TempDir(), sqlite.Options{}, "tmpfs"
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4m"); err == nil {
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	} else {
		limited, options.MaxPages = "max_page_count", 200
	}
	t.Log("limited by", limited)
	db := open(t, filepath.Join(dir, "docmill.db"), options)
	t.Cleanup(func() { _ = db.Close() }) // before the file system goes
	stored := 0
	// A checkpoint may make space after a write has failed, so it is full only when Check says so, too.
	full := false
	for tries := 0; !full; tries++ {
		require.Less(t, tries, 10_000, "it is never full")
		err := db.Write(t.Context(), sqlite.Durable, insert(fmt.Sprintf("%02000d", stored)))
		if err == nil {
			stored++
			continue
		}
		require.ErrorIs(t, err, sqlite.ErrFull)
		full = errors.Is(db.Check(t.Context()), sqlite.ErrFull)
	}
	require.Equal(t, stored, count(t, db), "reading works")

	if limited == "tmpfs" {
		require.NoError(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"))
	} else {
		require.NoError(t, db.Write(t.Context(), sqlite.Durable, func(ctx context.Context, tx *sqlite.Tx) error {
			_, err := tx.ExecContext(ctx, "DELETE FROM notes WHERE id > 10")
			stored = 10
			return err
		}))
	}
	require.NoError(t, db.Check(t.Context()))
	require.NoError(t, db.Write(t.Context(), sqlite.Durable, insert("there is space")))
	require.Equal(t, stored+1, count(t, db))
	require.NoError(t, db.IntegrityCheck(t.Context()))
}

// TestFilesStaySmall stores and deletes much more than what is there at a time, with a reader that holds back the log
// for a while.
func TestFilesStaySmall(t *testing.T) {
	t.Parallel()
	path := file(t)
	db := open(t, path, sqlite.Options{})
	turn := func() {
		for i := range 40 {
			require.NoError(t, db.Write(t.Context(), sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
				if err := insert(fmt.Sprintf("%0100000d", i))(ctx, tx); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "DELETE FROM notes WHERE id <= (SELECT max(id) FROM notes) - 10")
				return err
			}))
		}
		require.NoError(t, db.Write(t.Context(), sqlite.Relaxed, func(ctx context.Context, tx *sqlite.Tx) error {
			_, err := tx.ExecContext(ctx, "DELETE FROM notes")
			return err
		}))
	}
	size := func(suffix string) int64 {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		return info.Size()
	}
	const mebi = 1 << 20
	for range 8 { // 32 MB
		turn()
	}
	require.Less(t, size(""), int64(8*mebi))
	require.Less(t, size("-wal"), int64(24*mebi))

	require.NoError(t, db.Write(t.Context(), sqlite.Relaxed, insert("x")))
	rows, err := db.Reader().QueryContext(t.Context(), "SELECT text FROM notes")
	require.NoError(t, err)
	require.True(t, rows.Next())
	for range 10 {
		turn()
	}
	require.Greater(t, size("-wal"), int64(30*mebi), "the reader holds the log")
	require.NoError(t, rows.Close())
	for range 10 {
		turn()
	}
	require.Less(t, size("-wal"), int64(24*mebi))
	require.NoError(t, db.IntegrityCheck(t.Context()))
}

func BenchmarkWrite(b *testing.B) {
	for _, durability := range []sqlite.Durability{sqlite.Relaxed, sqlite.Durable} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", durability, writers), func(b *testing.B) {
				db := open(b, file(b), sqlite.Options{})
				work := make(chan int)
				var all sync.WaitGroup
				var mu sync.Mutex
				var failure error
				for range writers {
					all.Go(func() {
						for i := range work {
							if err := db.Write(b.Context(), durability, insert(fmt.Sprintf("%0400d", i))); err != nil {
								mu.Lock()
								failure = errors.Join(failure, err)
								mu.Unlock()
							}
						}
					})
				}
				b.ResetTimer()
				for i := range b.N {
					work <- i
				}
				close(work)
				all.Wait()
				require.NoError(b, failure)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		}
	}
}

const (
	waitFor = 30 * time.Second
	tick    = time.Millisecond
)

func TestAfterCommit(t *testing.T) {
	t.Parallel()
	db := open(t, file(t), sqlite.Options{})
	called := 0
	note := func(err error) func(context.Context, *sqlite.Tx) error {
		return func(_ context.Context, tx *sqlite.Tx) error {
			tx.AfterCommit(func() { called++ })
			return err
		}
	}
	require.NoError(t, db.Write(t.Context(), sqlite.Relaxed, note(nil)))
	require.Equal(t, 1, called)
	require.ErrorIs(t, db.Write(t.Context(), sqlite.Relaxed, note(fs.ErrInvalid)), fs.ErrInvalid)
	require.Equal(t, 1, called)
}
