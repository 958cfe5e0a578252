package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/simulation"
)

// LoadOptions are the parameters of [Load].
type LoadOptions struct {
	// Client is the client of a complete system. It must keep enough connections for the jobs in the queue.
	Client *client.Client
	// Documents are the paths of the documents to convert. Those that cannot be converted are left out.
	Documents []string
	// Rate is the average number of documents per second. They are submitted independently of each other: a Poisson
	// process, which does not wait for results.
	Rate float64
	// Duration is how long documents are submitted.
	Duration time.Duration
	// Seed selects the times and the order of the documents.
	Seed uint64
	// Processor returns the processor time, in seconds, that all conversions so far have taken.
	Processor func(ctx context.Context) (float64, error)
}

// Loaded is what [Load] has measured.
type Loaded struct {
	// Alone are the conversions of one document after another, by the names of the documents.
	Alone map[string]Alone
	// Overheads are how much longer than the queue and the conversion the client waited for these, in seconds.
	Overheads []float64
	// Recorded are the documents of the load, in the order of their submission.
	Recorded simulation.Recorded
}

// Alone is a conversion while nothing else is converted, in seconds.
type Alone struct {
	// Attempt is the time from the start of the attempt to its end, and Processor the processor time of LibreOffice. On a busy
	// machine only the latter is meaningful.
	Attempt, Processor float64
}

// Load converts each document once, one after another, and then submits documents at random times. It returns when all of
// them have been converted.
func Load(ctx context.Context, o LoadOptions) (Loaded, error) {
	l := load{LoadOptions: o, Loaded: Loaded{Alone: map[string]Alone{}}}
	for _, path := range o.Documents {
		if err := l.convertAlone(ctx, path); err != nil {
			return Loaded{}, err
		}
	}
	if len(l.documents) == 0 {
		return Loaded{}, errors.New("none of the documents can be converted")
	}
	return l.Loaded, l.submitAll(ctx)
}

type load struct {
	LoadOptions
	Loaded

	documents []loadDocument
	mutex     sync.Mutex
}

type loadDocument struct {
	name    string
	content []byte
}

// convertAlone converts a document while nothing else happens.
func (l *load) convertAlone(ctx context.Context, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	document := loadDocument{filepath.Base(path), content}
	before, err := l.Processor(ctx)
	if err != nil {
		return err
	}
	measured, err := l.convert(ctx, document, time.Now())
	if _, refused := errors.AsType[*client.Problem](err); refused {
		return nil
	}
	if _, failed := errors.AsType[*client.JobError](err); failed {
		return nil
	}
	if err != nil {
		return fmt.Errorf("convert %s: %w", document.name, err)
	}
	after, err := l.Processor(ctx)
	if err != nil {
		return err
	}
	l.documents = append(l.documents, document)
	l.Alone[document.name] = Alone{Attempt: measured.Conversion, Processor: after - before}
	l.Overheads = append(l.Overheads, measured.Overhead)
	return nil
}

// submitAll submits documents at random times and waits for their results.
func (l *load) submitAll(ctx context.Context) error {
	random := rand.New(rand.NewPCG(l.Seed, 0)) //nolint:gosec // not for secrets
	gap := distuv.Exponential{Rate: l.Rate, Src: random}
	var waiting sync.WaitGroup
	var failures []error
	begin := time.Now()
	for at := time.Duration(0); ; {
		at += time.Duration(gap.Rand() * float64(time.Second))
		if at > l.Duration || ctx.Err() != nil {
			break
		}
		document := l.documents[random.IntN(len(l.documents))]
		time.Sleep(time.Until(begin.Add(at)))
		waiting.Go(func() {
			measured, err := l.convert(ctx, document, begin)
			l.mutex.Lock()
			defer l.mutex.Unlock()
			if err != nil {
				failures = append(failures, fmt.Errorf("convert %s: %w", document.name, err))
				return
			}
			l.Recorded = append(l.Recorded, measured)
		})
	}
	waiting.Wait()
	slices.SortFunc(l.Recorded, func(a, b simulation.Measurement) int {
		if a.Arrival < b.Arrival {
			return -1
		}
		return 1
	})
	return errors.Join(append(failures, ctx.Err())...)
}

// convert submits a document, waits for its end and returns what it took. The times of the queue and the conversion are those
// of the job.
func (l *load) convert(ctx context.Context, of loadDocument, begin time.Time) (simulation.Measurement, error) {
	submitted := time.Now()
	job, err := l.Client.Submit(ctx, of.name, bytes.NewReader(of.content), int64(len(of.content)))
	if err != nil {
		return simulation.Measurement{}, err
	}
	job, err = l.Client.Wait(ctx, job)
	if err != nil {
		return simulation.Measurement{}, err
	}
	took := time.Since(submitted)
	if job.StartedAt == nil || job.FinishedAt == nil {
		return simulation.Measurement{}, fmt.Errorf("the job %s has ended without a start or an end", job.ID)
	}
	return simulation.Measurement{
		Arrival:    job.CreatedAt.Sub(begin).Seconds(),
		Wait:       job.StartedAt.Sub(job.CreatedAt).Seconds(),
		Conversion: job.FinishedAt.Sub(*job.StartedAt).Seconds(),
		Overhead:   (took - job.FinishedAt.Sub(job.CreatedAt)).Seconds(),
	}, nil
}
