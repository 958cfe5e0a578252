package conversion_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
	"github.com/docmill/docmill/platform/processdir"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/converter/internal/conversion"
	"github.com/docmill/docmill/services/converter/internal/engine"
	"github.com/docmill/docmill/services/converter/internal/sandbox"
)

// TestFullDiskUsesUpNoAttempt fills the disk during the last attempt at a job.
func TestFullDiskUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"no space": engine.NoSpace(errEngine), "another failure": errEngine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			full := b.disk()
			submitted := b.submitLast([]byte("a document"))
			hand := newByHand()
			consumer := b.start(hand.convert)
			next(t, hand.calls)
			full.Store(true)
			hand.answer <- failure
			require.EqualValues(t, 1, expect[*conversionv1.ConversionStarted](b).GetAttempt())
			consumer.drain()
			require.NoError(t, next(t, consumer.done))
			require.Empty(t, b.events, "the attempt has no outcome")

			full.Store(false)
			consumer = b.start(copies)
			require.EqualValues(t, 1, expect[*conversionv1.ConversionStarted](b).GetAttempt(), "after the delay")
			succeeded := expect[*conversionv1.ConversionSucceeded](b)
			require.EqualValues(t, 1, succeeded.GetAttempt())
			require.Equal(t, submitted.GetJobId(), succeeded.GetJobId())
			b.settled(consumer)
		})
	}
}

// TestConverterWithoutSpaceLeavesCommands checks that a converter with a full disk fetches no document, and leaves its commands
// to others.
func TestConverterWithoutSpaceLeavesCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	full, delays := b.disk(), make(chan time.Duration, 100)
	b.wrap = func(p conversion.Publisher) conversion.Publisher { return delayed{p, delays} }
	consumer := b.start(copies)
	b.submit([]byte("a document"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	full.Store(true)
	left := b.submit([]byte("a document"), nil)
	require.Zero(t, next(t, delays), "others can start at once")
	again := b.take(message.Returned)
	require.Equal(t, left.GetJobId(), again.JobID)
	require.Equal(t, 1, again.Attempt)
	require.Zero(t, again.DeliveryCount)
	full.Store(false)
	b.submit([]byte("a document"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	b.settled(consumer)
}

// delayed sends the delays of returned commands.
type delayed struct {
	conversion.Publisher
	delays chan<- time.Duration
}

func (d delayed) Publish(ctx context.Context, m message.Message) error {
	if m.Returned {
		d.delays <- m.Delay
	}
	return d.Publisher.Publish(ctx, m)
}

// TestTroubleOfTheMachineIsNotSuspicious checks failures that no document causes: they do not count, however often they happen.
func TestTroubleOfTheMachineIsNotSuspicious(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"a neighbor filled the disk and has freed it": engine.NoSpace(errEngine),
		"the kernel had no more memory":               fmt.Errorf("draw a page: %w", sandbox.ErrKilled),
		"this process has no more file descriptors":   os.NewSyscallError("pipe2", syscall.EMFILE),
		"the machine has no more file descriptors":    os.NewSyscallError("pipe2", syscall.ENFILE),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.submitLast([]byte("a document"))
			consumer := b.start(func(context.Context, engine.Request) (engine.Output, error) { return engine.Output{}, failure })
			expect[*conversionv1.ConversionStarted](b)
			expect[*conversionv1.ConversionRetried](b)
			b.settled(consumer)
		})
	}
}

// TestFailureThatFreesTheDiskCounts checks a document that fills the disk by itself: it must not be tried forever.
func TestFailureThatFreesTheDiskCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.share = 1 // less than the document
	b.submitLast([]byte("a document"))
	consumer := b.start(func(context.Context, engine.Request) (engine.Output, error) {
		return engine.Output{}, engine.NoSpace(problem.New(problem.DocumentMalformed, "The document could not be exported."))
	})
	expect[*conversionv1.ConversionStarted](b)
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode(), "the document is not to blame")
	b.settled(consumer)
}

// TestOthersDoNotReduceTheShare checks that a conversion is not blamed when other programs fill the disk.
func TestOthersDoNotReduceTheShare(t *testing.T) {
	t.Parallel()
	directory, free := t.TempDir(), uint64(1000)
	share := conversion.ShareOf(directory, 2, func(string) (uint64, error) { return free, nil })
	require.EqualValues(t, 500, share())
	free = 0
	require.EqualValues(t, 500, share())
	free = 3000
	require.NoError(t, os.WriteFile(filepath.Join(directory, "result"), make([]byte, 1000), 0o600))
	require.EqualValues(t, 2000, share())
}

// TestFullDiskMakesNoConverterSick checks that documents for which the disk is too small do not stop a converter.
func TestFullDiskMakesNoConverterSick(t *testing.T) {
	t.Parallel()
	b := setup(t)
	consumer := b.start(b.readyAtFirst(fails(engine.NoSpace(errEngine))))
	for range 4 {
		b.submit([]byte("a large document"), nil)
		expect[*conversionv1.ConversionStarted](b)
		expect[*conversionv1.ConversionRetried](b)
	}
	b.submit([]byte("innocent"), nil)
	expect[*conversionv1.ConversionStarted](b)
	expect[*conversionv1.ConversionSucceeded](b)
	consumer.drain()
	require.NoError(t, next(t, consumer.done))
}

// TestDocumentThatFillsTheDiskCounts fetches a document that is larger than the disk.
func TestDocumentThatFillsTheDiskCounts(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("mounting a file system is not permitted")
	}
	require.NoError(t, err)
	b := setup(t)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, 0)) })
	b.workdir, err = processdir.Open(disk, "converter")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.workdir.Close()) })
	b.share = 1
	b.submitLast(make([]byte, 1<<20))
	consumer := b.start(copies)
	expect[*conversionv1.ConversionStarted](b)
	failed := expect[*conversionv1.ConversionFailed](b)
	require.Equal(t, string(problem.AttemptsExhausted), failed.GetFailure().GetCode())
	b.settled(consumer)
}
