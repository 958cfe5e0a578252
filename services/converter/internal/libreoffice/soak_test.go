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

// TestNothingIsLeft is a short soak, beside other tests.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	soak(t, 200)
}

// soak converts documents with a parent that is not replaced, one a core at a time. Some fail, some crash, some are abandoned.
// What the parent has then is what it had after the first tenth.
func soak(t *testing.T, count int) {
	t.Helper()
	own := setupOwn(t, func(config *Config) { config.RecycleAge = 24 * time.Hour })
	o, err := own.parents.acquire(t.Context())
	require.NoError(t, err)
	o.release()
	fresh := takeStock(t, own, o)
	convertMany(t, own, count/10)
	before := takeStock(t, own, o)
	began := time.Now()
	convertMany(t, own, count-count/10)
	took := time.Since(began)
	after := takeStock(t, own, o)

	t.Logf("%s: %d conversions, %.1f/s", o.version, count, float64(count-count/10)/took.Seconds())
	t.Logf("the parent when it was new:   %s", fresh)
	t.Logf("the parent after a tenth:     %s", before)
	t.Logf("the parent after everything:  %s", after)
	select {
	case <-o.gone:
		require.NoError(t, o.reason, "it is the same parent")
	default:
	}
	require.Equal(t, before.descriptors, after.descriptors)
	require.Equal(t, before.files, after.files)
	require.Empty(t, after.children, "zombies included")
	const flat = 4 << 20
	require.Less(t, after.resident-before.resident, int64(flat), "bytes by which the parent has grown")
}

// convertMany returns when all are converted.
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

// soakOne converts a document, and says whether that ended as it should.
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
			if children == 1 { // it begins again
				_ = unix.Kill(pid, unix.SIGSEGV)
			}
		}
	}
	request := requestFor(t, read(t, document.file), document.format)
	_, err := e.Convert(ctx, request)
	if left := os.RemoveAll(request.Folder); left != nil {
		return left
	}
	if expected := document.fails || number%50 == abandoned; (err != nil) != expected {
		return fmt.Errorf("%s: %w", document.file, err)
	}
	return nil
}

// stock is what a parent has while it does nothing, and its engine's files.
type stock struct {
	descriptors            []uintptr
	children               []int
	files                  []string
	resident, proportional int64 // proportional depends on who else shares pages with it
}

func (s stock) String() string {
	return fmt.Sprintf("%d KiB resident, %d KiB proportional, %d descriptors, %d files, %d children",
		s.resident>>10, s.proportional>>10, len(s.descriptors), len(s.files), len(s.children))
}

func takeStock(t *testing.T, own running, o *office) stock {
	t.Helper()
	process, err := procfs.NewProc(o.process.PID())
	require.NoError(t, err)
	s := stock{children: childrenOf(t, o.process.PID())}
	s.descriptors, err = process.FileDescriptors()
	require.NoError(t, err)
	memory, err := process.ProcSMapsRollup()
	require.NoError(t, err)
	s.resident, s.proportional = int64(memory.Rss), int64(memory.Pss)
	require.NoError(t, filepath.WalkDir(own.folder, func(path string, _ fs.DirEntry, err error) error {
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
