package libreoffice

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestNothingIsLeft is a short soak test, concurrent with other tests.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	soak(t, 200)
}

// soak converts documents in an instance that is not replaced, one per core at a time. Some fail, some crash, some are
// abandoned. At the end, the zygote must use the same resources as after the first tenth, during which it moves to huge pages.
func soak(t *testing.T, count int) {
	t.Helper()
	own := setupOwn(t, func(config *Config) { config.RecycleAge = 24 * time.Hour })
	i, err := own.pool.acquire(t.Context())
	require.NoError(t, err)
	i.release()
	fresh := takeStock(t, own, i)
	first := max(count/10, 20)
	convertMany(t, own, first)
	before := takeStock(t, own, i)
	began := time.Now()
	convertMany(t, own, count-first)
	took := time.Since(began)
	after := takeStock(t, own, i)

	t.Logf("%s: %d conversions, %.1f/s", i.version, count, float64(count-first)/took.Seconds())
	t.Logf("the zygote when it was new:   %s", fresh)
	t.Logf("the zygote after a tenth:     %s", before)
	t.Logf("the zygote after everything:  %s", after)
	select {
	case <-i.gone:
		require.NoError(t, i.reason, "the zygote is still the same")
	default:
	}
	require.Equal(t, before.descriptors, after.descriptors)
	require.Equal(t, before.files, after.files)
	require.Empty(t, after.children, "zombies included")
	const flat = 4 << 20
	require.Less(t, after.resident-before.resident, int64(flat), "bytes by which the zygote has grown")
}

// convertMany converts count documents.
func convertMany(t *testing.T, own running, count int) {
	t.Helper()
	var next atomic.Int64
	var wait sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			e := *own.Engine
			for n := next.Add(1); n <= int64(count) && !t.Failed(); n = next.Add(1) {
				if err := soakOne(t, &e, int(n)); err != nil {
					t.Errorf("conversion %d: %v", n, err)
				}
			}
		})
	}
	wait.Wait()
}

// soakOne converts a document, and returns an error if that did not end as expected.
func soakOne(t *testing.T, e *Engine, number int) error {
	t.Helper()
	documents := []struct {
		file, format string
		fails        bool
	}{
		{"synth-letter.odt", "odt", false},
		{"synth-deck.ppsx", "ppsx", false},
		{"synth-table.csv", "csv", false},
		{"unoserver__simple.encrypted.odt", "odt", true},
		{"synth-letter.txt", "txt", false},
		{"synth-table.xlsx", "xlsx", false},
		{"docling__equations.docx", "docx", false},
	}
	document := documents[number%len(documents)]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const abandoned, crashed = 3, 5
	children := 0
	e.onStart = func(_ string, pid int) {
		children++
		switch number % 50 {
		case abandoned:
			cancel()
		case crashed:
			if children == 1 { // the conversion is tried again
				_ = unix.Kill(pid, unix.SIGSEGV)
			}
		}
	}
	request := requestFor(t, read(t, document.file), document.format)
	_, err := e.Convert(ctx, request)
	if left := os.RemoveAll(request.Directory); left != nil {
		return left
	}
	if expected := document.fails || number%50 == abandoned; (err != nil) != expected {
		return fmt.Errorf("%s: %w", document.file, err)
	}
	return nil
}

// stock is what an idle zygote uses, and the files of its engine.
type stock struct {
	descriptors            []uintptr
	children               []int
	files                  []string
	resident, proportional int64 // proportional depends on which other processes share its pages
}

func (s stock) String() string {
	return fmt.Sprintf("%d KiB resident, %d KiB proportional, %d descriptors, %d files, %d children",
		s.resident>>10, s.proportional>>10, len(s.descriptors), len(s.files), len(s.children))
}

func takeStock(t *testing.T, own running, i *instance) stock {
	t.Helper()
	process, err := procfs.NewProc(i.process.PID())
	require.NoError(t, err)
	s := stock{children: childrenOf(t, i.process.PID())}
	s.descriptors, err = process.FileDescriptors()
	require.NoError(t, err)
	memory, err := process.ProcSMapsRollup()
	require.NoError(t, err)
	s.resident, s.proportional = int64(memory.Rss), int64(memory.Pss)
	require.NoError(t, filepath.WalkDir(own.directory, func(path string, _ fs.DirEntry, err error) error {
		s.files = append(s.files, path)
		return err
	}))
	return s
}

func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	processes, err := procfs.AllProcs()
	require.NoError(t, err)
	var children []int
	for _, process := range processes {
		if stat, err := process.Stat(); err == nil && stat.PPID == parent {
			children = append(children, process.PID)
		}
	}
	return children
}
