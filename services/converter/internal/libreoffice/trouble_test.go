package libreoffice

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/contract/problem"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// longDocument takes LibreOffice a few seconds.
func longDocument(t *testing.T) engine.Request {
	t.Helper()
	return requestFor(t, read(t, "odftoolkit__Presentation7.odp"), "odp")
}

// convert converts a document in the background.
func convert(ctx context.Context, e *Engine, request engine.Request) <-chan error {
	failed := make(chan error, 1)
	go func() {
		_, err := e.Convert(ctx, request)
		failed <- err
	}()
	return failed
}

func requireDead(t *testing.T, pid int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil { // the first process of a container may be one that reaps nobody
		require.Contains(t, string(stat), ") Z ", "the child is dead")
		return
	}
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestStoppedChildIsKilledAtItsTimeLimit stops a child, and then the one that tries again.
func TestStoppedChildIsKilledAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	e := setup(t, func(limits *engine.Limits) { limits.Timeout = 2 * time.Second })
	pids := watchStarts(e)
	failed := convert(t.Context(), e, longDocument(t))
	require.NoError(t, unix.Kill(<-pids, unix.SIGSTOP))
	pid := <-pids
	require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
	other := setup(t, nil)
	require.NoError(t, <-convert(t.Context(), other, requestFor(t, []byte("other"), "txt")), "other conversions go on")
	requireCode(t, <-failed, problem.ConversionTimeout)
	requireDead(t, pid)
}

// TestStarvedChildIsTriedAgain stops a child until its time limit, as a machine does that is paused.
func TestStarvedChildIsTriedAgain(t *testing.T) {
	t.Parallel()
	e := setup(t, func(limits *engine.Limits) { limits.Timeout = 20 * time.Second })
	children := 0
	e.onStart = func(_ string, pid int) {
		if children++; children == 1 {
			require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
		}
	}
	require.NoError(t, <-convert(t.Context(), e, requestFor(t, read(t, "synth-three-pages.docx"), "docx")))
	require.Equal(t, 2, children)
}

// TestEndBeforeTheTimeLimitCounts inspects children that ended in time only after their time limit: this process may have
// been stopped or starved.
func TestEndBeforeTheTimeLimitCounts(t *testing.T) {
	t.Parallel()
	e := setup(t, func(limits *engine.Limits) { limits.Timeout = time.Nanosecond })
	e.onStart = func(_ string, pid int) {
		for ended := false; !ended; { // until then its zygote may not have reaped it
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			ended = err != nil || bytes.Contains(stat, []byte(") Z "))
		}
	}
	for range 10 {
		require.NoError(t, <-convert(t.Context(), e, requestFor(t, []byte("text"), "txt")))
	}
}

func TestSecondCrashIsReported(t *testing.T) {
	t.Parallel()
	for name, crashes := range map[string]int{"once": 1, "twice": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t, nil)
			pids := watchStarts(e)
			failed := convert(t.Context(), e, longDocument(t))
			for range crashes {
				require.NoError(t, unix.Kill(<-pids, unix.SIGSEGV))
			}
			if crashes == 1 {
				require.NoError(t, <-failed)
			} else {
				requireCode(t, <-failed, problem.EngineCrashed)
			}
		})
	}
}

// TestKillFromOutsideIsNotACrash sends the signal that the kernel sends when the machine is short of memory.
func TestKillFromOutsideIsNotACrash(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	pids := watchStarts(e)
	failed := convert(t.Context(), e, longDocument(t))
	require.NoError(t, unix.Kill(<-pids, unix.SIGKILL))
	err := <-failed
	require.ErrorIs(t, err, errKilled)
	require.ErrorIs(t, err, sandbox.ErrKilled, "it used little memory, so it is not suspected")
	require.True(t, problem.Describe(problem.From(err).Code).Retryable, "the document is not the cause")
	require.Empty(t, pids, "it is not tried again under the same pressure")
}

func TestMemoryAndDiskLimits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*engine.Limits){
		"memory": func(limits *engine.Limits) { limits.Memory = 8 << 20 },
		"disk":   func(limits *engine.Limits) { limits.Disk = 64 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := <-convert(t.Context(), setup(t, change), longDocument(t))
			requireCode(t, err, problem.DocumentTooComplex)
		})
	}
}

// TestFullDiskIsNotTheDocumentsFault converts documents while the disk seems to have as many bytes free.
func TestFullDiskIsNotTheDocumentsFault(t *testing.T) {
	t.Parallel()
	const plenty, little, nothing = 1 << 40, 32 << 20, 64 << 10
	good := read(t, "synth-three-pages.docx")
	for name, c := range map[string]struct {
		free  uint64
		pages string
		want  problem.Code // empty: ErrNoSpace
	}{
		"a failure with space":           {plenty, "9", problem.PagesNotFound},
		"a failure with little space":    {little, "9", ""},
		"a result with hardly any space": {nothing, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t, nil)
			e.freeSpace = func(string) (uint64, error) { return c.free, nil }
			request := requestFor(t, good, "docx")
			if c.pages != "" {
				request.Options = &conversionv1.Options{Pages: &c.pages}
			}
			_, err := e.Convert(t.Context(), request)
			if c.want != "" {
				requireCode(t, err, c.want)
				return
			}
			require.ErrorIs(t, err, engine.ErrNoSpace)
			require.Equal(t, problem.Internal, problem.From(err).Code)
		})
	}
	t.Run("a wrong password with little space", func(t *testing.T) {
		t.Parallel()
		e := setup(t, nil)
		e.freeSpace = func(string) (uint64, error) { return little, nil }
		request, password := requestFor(t, read(t, "gotenberg__protected_page_1.docx"), "docx"), "wrong"
		request.Password = &password
		_, err := e.Convert(t.Context(), request)
		require.ErrorIs(t, err, engine.ErrNoSpace)
	})
	t.Run("a result with little space", func(t *testing.T) {
		t.Parallel()
		e := setup(t, nil)
		e.freeSpace = func(string) (uint64, error) { return little, nil }
		_, err := e.Convert(t.Context(), requestFor(t, good, "docx"))
		require.NoError(t, err)
	})
	t.Run("the document's own limit", func(t *testing.T) {
		t.Parallel()
		e := setup(t, func(limits *engine.Limits) { limits.Disk = 64 << 10 })
		e.freeSpace = func(string) (uint64, error) { return 0, nil }
		requireCode(t, <-convert(t.Context(), e, longDocument(t)), problem.DocumentTooComplex)
	})
}

func TestCancelAbandonsTheConversion(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	pids := watchStarts(e)
	ctx, cancel := context.WithCancel(t.Context())
	failed := convert(ctx, e, longDocument(t))
	pid := <-pids
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	requireDead(t, pid)
}

func TestDeathOfTheZygoteLosesNoConversion(t *testing.T) {
	t.Parallel()
	own := setupOwn(t, nil)
	pids := watchStarts(own.Engine)
	old, err := own.pool.acquire(t.Context())
	require.NoError(t, err)
	old.release()

	var failures []<-chan error
	for range 2 {
		failures = append(failures, convert(t.Context(), own.Engine, longDocument(t)))
	}
	for range 4 {
		failures = append(failures, convert(t.Context(), own.Engine, requestFor(t, read(t, "synth-deck.ppsx"), "ppsx")))
	}
	first := <-pids
	require.NoError(t, unix.Kill(old.process.PID(), unix.SIGKILL))
	for _, failed := range failures {
		require.NoError(t, <-failed)
	}
	requireDead(t, first)
	_, err = os.Stat(old.directory)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestConversionIsGivenUpAfterLosingSeveralZygotes(t *testing.T) {
	t.Parallel()
	own := setupOwn(t, nil)
	pids := watchStarts(own.Engine)
	failed := convert(t.Context(), own.Engine, longDocument(t))
	for range maxLosses {
		<-pids
		i, err := own.pool.acquire(t.Context())
		require.NoError(t, err)
		i.release()
		require.NoError(t, unix.Kill(i.process.PID(), unix.SIGKILL))
	}
	err := <-failed
	require.ErrorIs(t, err, errZygoteGone)
	var failure *problem.Error
	require.NotErrorAs(t, err, &failure, "the document is not the cause")
}

func TestStoppedZygoteIsReplaced(t *testing.T) {
	t.Parallel()
	own := setupOwn(t, nil)
	pids := watchStarts(own.Engine)
	i, err := own.pool.acquire(t.Context())
	require.NoError(t, err)
	i.release()
	ctx, cancel := context.WithCancel(t.Context())
	failed := convert(ctx, own.Engine, longDocument(t))
	<-pids
	require.NoError(t, unix.Kill(i.process.PID(), unix.SIGSTOP))
	cancel() // the zygote is told to kill the child, and does not answer
	require.ErrorIs(t, <-failed, context.Canceled)
	require.NoError(t, <-convert(t.Context(), own.Engine, requestFor(t, []byte("after"), "txt")))
}

func TestRecyclingDoesNotInterruptService(t *testing.T) {
	t.Parallel()
	own := setupOwn(t, func(config *Config) { config.RecycleConversions = 3 })
	first, err := own.pool.acquire(t.Context())
	require.NoError(t, err)
	first.release()
	for current := first; current == first; {
		require.NoError(t, <-convert(t.Context(), own.Engine, requestFor(t, []byte("x"), "txt")))
		current, err = own.pool.acquire(t.Context())
		require.NoError(t, err)
		current.release()
	}
	<-first.gone
	require.ErrorIs(t, first.reason, errZygoteGone)
}

func TestDrainFinishesRunningConversions(t *testing.T) {
	t.Parallel()
	own := setupOwn(t, nil)
	pids := watchStarts(own.Engine)
	failed := convert(t.Context(), own.Engine, longDocument(t))
	<-pids
	require.NoError(t, own.stop())
	require.NoError(t, <-failed)
}

// TestProcessorTimeLimit sends the signal that the kernel sends at the limit of processor time.
func TestProcessorTimeLimit(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	pids := watchStarts(e)
	request := longDocument(t)
	loading := make(chan struct{})
	request.Progress = func(engine.Progress) {
		select {
		case <-loading:
		default:
			close(loading)
		}
	}
	failed := convert(t.Context(), e, request)
	<-loading // until then the child has the zygote's signal handlers
	require.NoError(t, unix.Kill(<-pids, unix.SIGXCPU))
	requireCode(t, <-failed, problem.ConversionTimeout)
}
