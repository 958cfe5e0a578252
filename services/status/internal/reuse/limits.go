package reuse

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// A client that submits a document again and again sends a few kilobytes for each copy, and waits for no conversion. So each replica limits
// the copies that it makes.
const (
	// maxSize is the size of a result in bytes above which it is not reused.
	maxSize = 16 << 20
	// smallSize is the size in bytes up to which a result is small: large results do not take the slots of small ones. Typical
	// results have 20 to 200 kB.
	smallSize = 256 << 10
	// maxSmallCopies and maxLargeCopies are how many results are copied at once.
	maxSmallCopies, maxLargeCopies = 16, 8
	// maxSearches is how many results are searched for at once, each with a connection to the database. A search takes about 1 ms.
	maxSearches = 4
	// patience is how long a submission waits for a slot, and smallPatience how long it waits for the slot of a small result. After that,
	// converting the document is better. With 2 processors, 200 to 300 small results are copied per second, so most of 64 that are submitted
	// at once are reused; converting them would take 2 s.
	patience, smallPatience = 50 * time.Millisecond, 250 * time.Millisecond
	// copyRate, per second, and copyBurst limit the bytes by which copies exceed the documents that were uploaded for them. The rate allows
	// 40 results per second that are 100 kB larger than their documents, and the burst allows 640.
	copyRate, copyBurst = 4 << 20, 64 << 20
	// minCost is what a copy costs at least: its files and its row have to be deleted later, in three steps, of which package purge takes at
	// most 1,000 per second. So at most 256 small results per second are reused, after a burst of 4,096.
	minCost = 16 << 10
)

// limits limit the cost of copies.
type limits struct {
	searches, small, large slots
	bytes                  *rate.Limiter
}

func newLimits() limits {
	return limits{
		searches: make(slots, maxSearches), small: make(slots, maxSmallCopies), large: make(slots, maxLargeCopies),
		bytes: rate.NewLimiter(copyRate, copyBurst),
	}
}

// take takes a slot for a copy of size bytes of a result, and returns a function that frees it. document is the size of the document. take
// returns errBusy or errLimited if the copy cannot be made now.
func (l *limits) take(ctx context.Context, size, document int64) (free func(), err error) {
	of, wait := l.large, patience
	if size <= smallSize {
		of, wait = l.small, smallPatience
	}
	if err := of.take(ctx, wait); err != nil {
		return nil, err
	}
	if !l.bytes.AllowN(time.Now(), int(max(size-document, minCost))) {
		of.free()
		return nil, errLimited
	}
	return of.free, nil
}

// slots limit how much is done at once.
type slots chan struct{}

// take takes a slot. If none is free after the wait, it returns errBusy.
func (s slots) take(ctx context.Context, wait time.Duration) error {
	select {
	case s <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return errBusy
}

// tryTake is take without the wait.
func (s slots) tryTake() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }
