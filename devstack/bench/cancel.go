package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/docmill/docmill/client"
)

const (
	// Slots is the number of concurrent conversions while cancellations are measured.
	Slots = 8
	// cancellations is how many jobs are canceled.
	cancellations = 120
)

var (
	errNoChild    = errors.New("no process converts the document")
	errChildEnded = errors.New("the conversion ended before its cancellation")
	errChildStays = errors.New("the process that converts the document does not end")
)

// canceling measures the time from the request that cancels a job until the process that converts its document has ended, while
// documents are converted in all slots.
func (m *measurement) canceling(ctx context.Context) error {
	content, err := os.ReadFile(m.Long)
	if err != nil {
		return err
	}
	took := map[string][]float64{}
	for _, c := range m.Candidates {
		if c.Busy == nil {
			continue
		}
		b := busy{Client: c.Busy, children: c.Children, name: filepath.Base(m.Long), content: content}
		if took[c.Name], err = b.measure(ctx); err != nil {
			return fmt.Errorf("cancel jobs of %s: %w", c.Name, err)
		}
	}
	for _, p := range []int{50, 99} {
		var figures []figure
		for _, c := range m.Candidates {
			if c.Busy != nil {
				figures = append(figures, figure{c.Name, percentile(took[c.Name], p)})
			}
		}
		m.show(fmt.Sprintf("cancel to end of child, p%d", p), "ms", figures)
	}
	return nil
}

// busy is a system that converts in all of its slots.
type busy struct {
	*client.Client

	children func() ([]int, error)
	name     string
	content  []byte
	// conversions are those in progress, the oldest first.
	conversions []conversion
}

// conversion is a job with the process that converts its document.
type conversion struct {
	job client.Job
	pid int
}

// measure cancels the oldest conversion, again and again, and returns how long each process lived on, in ms. No conversion gets as old as
// it takes.
func (b *busy) measure(ctx context.Context) ([]float64, error) {
	for range Slots {
		if err := b.start(ctx); err != nil {
			return nil, err
		}
	}
	var took []float64
	for range cancellations {
		duration, err := b.cancel(ctx, b.conversions[0])
		if err != nil {
			return nil, err
		}
		took = append(took, duration.Seconds()*1e3)
		b.conversions = b.conversions[1:]
		if err := b.start(ctx); err != nil {
			return nil, err
		}
	}
	for _, left := range b.conversions {
		if _, err := b.Cancel(ctx, left.job.ID); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// start submits the document and waits for the process that converts it: the new one, because a slot was free.
func (b *busy) start(ctx context.Context) error {
	const patience, interval = time.Minute, 5 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoChild)
	defer cancel()
	before, err := b.children()
	if err != nil {
		return err
	}
	job, err := b.Submit(ctx, b.name, bytes.NewReader(b.content), int64(len(b.content)))
	if err != nil {
		return err
	}
	for {
		now, err := b.children()
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(now, func(pid int) bool { return !slices.Contains(before, pid) }); i >= 0 {
			b.conversions = append(b.conversions, conversion{job, now[i]})
			return nil
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// cancel cancels a conversion, and returns how long after the beginning of the request its process has ended.
func (b *busy) cancel(ctx context.Context, c conversion) (time.Duration, error) {
	const patience = 30 * time.Second
	process, err := unix.PidfdOpen(c.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return 0, errChildEnded
	}
	if err != nil {
		return 0, fmt.Errorf("watch process %d: %w", c.pid, err)
	}
	defer unix.Close(process)
	if ended, err := ends(process, 0); err != nil || ended {
		return 0, errors.Join(err, errChildEnded)
	}
	type end struct {
		after time.Duration
		err   error
	}
	ended, began := make(chan end, 1), time.Now()
	go func() {
		died, err := ends(process, patience)
		if err == nil && !died {
			err = errChildStays
		}
		ended <- end{time.Since(began), err}
	}()
	if _, err := b.Cancel(ctx, c.job.ID); err != nil {
		return 0, err
	}
	child := <-ended
	return child.after, child.err
}

// ends reports whether a process ends within a time.
func ends(process int, within time.Duration) (bool, error) {
	deadline := time.Now().Add(within)
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n > 0, err
		}
	}
}
