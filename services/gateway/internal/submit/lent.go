package submit

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// errTakenBack is the error of a read after the end of the loan.
var errTakenBack = errors.New("the upload is over")

// errStalled is the cause of a put that the store did not continue.
var errStalled = errors.New("the store accepted no data for too long")

// lent is an upload that the store's client reads. An HTTP client may still read a request's body shortly after it has
// returned, if the server answered early, so the upload is taken back before it is used elsewhere.
type lent struct {
	source io.Reader
	stall  *stall

	mutex   sync.Mutex
	size    int64
	failure error // the source's, other than io.EOF
	ended   bool
	taken   bool
}

func (l *lent) Read(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	switch {
	case l.taken:
		return 0, errTakenBack
	case l.ended:
		return 0, io.EOF
	case l.failure != nil:
		return 0, l.failure
	}
	l.stall.pause() // the client's time has its own limit
	defer l.stall.resume()
	n, err := l.source.Read(p)
	l.size += int64(n)
	if errors.Is(err, io.EOF) {
		l.ended = true
	} else if err != nil {
		l.failure = err
	}
	return n, err
}

// takeBack ends the loan: when it returns, the source is not read and will not be. It returns the number of bytes that
// were read and the source's error.
func (l *lent) takeBack() (int64, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.taken = true
	return l.size, l.failure
}

// stall cancels a put if the store makes no progress. It is paused while the put waits for the client.
type stall struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// withStall returns a context for a put. It does not end with ctx, so that the store's client can still abort an upload
// whose client has disconnected; reading that upload fails then, which ends the put.
func withStall(ctx context.Context) (context.Context, *stall) {
	putting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	return putting, &stall{cancel: cancel, timer: time.AfterFunc(storeStall, func() { cancel(errStalled) })}
}

func (s *stall) pause()  { s.timer.Stop() }
func (s *stall) resume() { s.timer.Reset(storeStall) }

func (s *stall) end() {
	s.timer.Stop()
	s.cancel(nil)
}
