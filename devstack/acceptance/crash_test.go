package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
)

// TestKilledUnderLoad kills `docmill serve` at random moments while clients submit documents. Every job that was
// accepted ends well, exactly once, and nothing else is left in the data directory. CRASHES sets how often; make crash
// kills it 100 times.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	kills := 5
	if text := os.Getenv("CRASHES"); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	b := setup(t, embedded)
	b.ctx = t.Context() // 100 kills take longer than the patience for other tests
	load := startLoad(t, b)
	for i := range kills {
		load.run(t, rand.N(20), 6)
		// Anywhere from the middle of an upload to the middle of a conversion: submissions return too early for the latter.
		<-time.After(rand.N(300 * time.Millisecond))
		require.NoError(t, b.system.Gateway.Kill())
		require.NoError(t, b.system.Gateway.Start(b.ctx), "start after kill %d", i+1)
	}
	load.run(t, 5, 0)
	accepted := load.stop()
	for _, job := range accepted {
		require.Equal(t, 3, b.succeed(t, job).Result.Pages)
	}
	t.Logf("%d kills, %d accepted jobs", kills, len(accepted))
	require.NoError(t, b.system.Stop(b.ctx))
	requireClean(t, b)
}

// requireClean checks the data directory of a stopped Docmill: the database is intact, every succeeded job has exactly
// its result, and no file belongs to nothing.
func requireClean(t *testing.T, b *testBundle) {
	t.Helper()
	output, err := check(b)
	require.NoError(t, err, output)
	t.Log(output)
}

// check runs `docmill check` on the data directory.
func check(b *testBundle) (output string, err error) {
	built, err := binaries()
	if err != nil {
		return "", err
	}
	text, err := exec.CommandContext(b.ctx, filepath.Join(built, "docmill"), "check", "--data="+b.data).CombinedOutput()
	return string(text), err
}

// load submits documents from several goroutines until it is stopped. Failures are ignored: what counts is what was
// accepted.
type load struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	// permits bounds how much is accepted: the queue would grow faster than it is converted.
	permits chan struct{}

	mu       sync.Mutex
	accepted []client.Job
	grown    chan struct{}
}

func startLoad(t *testing.T, b *testBundle) *load {
	t.Helper()
	const clients = 4
	content, err := os.ReadFile(document("synth-three-pages.docx"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(b.ctx)
	l := &load{cancel: cancel, permits: make(chan struct{}, 1000), grown: make(chan struct{}, 1)}
	t.Cleanup(func() { l.stop() })
	for range clients {
		l.ended.Go(func() {
			for {
				select {
				case <-l.permits:
					l.submit(ctx, b.client, content)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return l
}

// submit tries until the document is accepted.
func (l *load) submit(ctx context.Context, to *client.Client, content []byte) {
	const pause = 10 * time.Millisecond // a process that was killed refuses connections
	for ctx.Err() == nil {
		job, err := to.Submit(ctx, "report.docx", bytes.NewReader(content), int64(len(content)))
		if err == nil {
			l.add(job)
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (l *load) add(job client.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, job)
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// run returns when that many more jobs have been accepted, and lets beyond more follow.
func (l *load) run(t *testing.T, more, beyond int) {
	t.Helper()
	for range more + beyond {
		l.permits <- struct{}{}
	}
	for wanted := l.count() + more; l.count() < wanted; {
		select {
		case <-l.grown:
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		}
	}
}

// stop ends the load and returns what was accepted.
func (l *load) stop() []client.Job {
	l.cancel()
	l.ended.Wait()
	return l.accepted
}

// TestFullDisk fills the disk of the data directory except for 64 KiB, while jobs are queued and running: submissions are
// answered with 503 and a code, accepted jobs are kept, and work goes on when there is space again, without a restart.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	b := startEmbedded(t, filepath.Join(disk, "data"))
	accepted := submitUntilRunning(t, b)
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	for refusals := 0; refusals < 20; {
		job, err := b.client.SubmitFile(b.ctx, document(threePages))
		if err == nil { // there was a little space
			accepted = append(accepted, job)
			continue
		}
		refusals++
		var refused *client.Problem
		require.ErrorAs(t, err, &refused)
		require.Contains(t, []client.Code{client.CodeStoreUnavailable, client.CodeQueueUnavailable}, refused.Code)
		require.Equal(t, 503, refused.Status)
	}
	require.NoError(t, os.Remove(filler))
	b.ready(t, b.system.Gateway)
	accepted = append(accepted, b.submit(t, threePages))
	for _, job := range accepted {
		require.Equal(t, 3, b.succeed(t, job).Result.Pages)
	}
	require.NoError(t, b.system.Stop(b.ctx))
	requireClean(t, b)
}

// TestFullWorkDisk fills the disk of the work directory except for 64 KiB, while jobs are queued and running. Without
// space LibreOffice fails at good documents. All jobs succeed when there is space again.
func TestFullWorkDisk(t *testing.T) {
	t.Parallel()
	forBoth(t, testFullWorkDisk)
}

func testFullWorkDisk(t *testing.T, on edition) {
	t.Helper()
	disk := smallDisk(t)
	b := setup(t, on, "DOCMILL_WORK_DIR="+disk)
	accepted := submitUntilRunning(t, b)
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	accepted = append(accepted, b.submit(t, threePages))
	leaves := func() bool { return logged(t, b, "this converter cannot work; leaving the command to others") }
	require.Eventually(t, leaves, time.Minute, 50*time.Millisecond)
	require.NoError(t, os.Remove(filler))
	for _, job := range accepted {
		require.Equal(t, 3, b.succeed(t, job).Result.Pages)
	}
	t.Logf("postponed a conversion: %t", logged(t, b, "postponing the conversion"))
}

// smallDisk mounts a small file system, for which it needs to be root on a machine that lets it.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	const size = "size=160m"
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, size); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("mounting a file system is not permitted here")
	} else {
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	return disk
}

const threePages = "synth-three-pages.docx"

// submitUntilRunning submits several documents and returns when one of the last is being converted.
func submitUntilRunning(t *testing.T, b *testBundle) []client.Job {
	t.Helper()
	accepted := make([]client.Job, 0, 20)
	for range cap(accepted) {
		accepted = append(accepted, b.submit(t, threePages))
	}
	b.untilStarted(t, accepted[len(accepted)/2])
	return accepted
}

// untilStarted follows the job until it is no longer queued.
func (b *testBundle) untilStarted(t *testing.T, job client.Job) {
	t.Helper()
	for now, err := range b.client.Events(b.ctx, job.ID) {
		require.NoError(t, err)
		if now.Status != client.Queued {
			return
		}
	}
}

// logged reports whether a log file contains a text.
func logged(t *testing.T, b *testBundle, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.logs, "*"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}

// fill writes to a file until 64 KiB of the disk are free.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	for piece := make([]byte, 64<<10); len(piece) > 0; {
		if _, err := file.Write(piece); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			piece = piece[:len(piece)/2]
		}
	}
	size, err := file.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	require.NoError(t, file.Truncate(size-64<<10))
}
