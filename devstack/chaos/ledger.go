package chaos

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/lifecycle"
)

// Verdicts on what Docmill did wrong.
const (
	// lost is an accepted job that is unknown later.
	lost = "lost"
	// stuck is an accepted job that does not end.
	stuck = "stuck"
	// wrong is a job with the wrong end or the wrong result.
	wrong = "wrong"
	// changed is a job whose states were not a legal history.
	changed = "changed"
	// revived is a deleted job that clients see again.
	revived = "revived"
	// duplicated is a submission that was sent several times with the same key, and has not the same job each time.
	duplicated = "duplicate"
	// premature is a job, or a file of one, that was deleted although it had not expired.
	premature = "deleted too early"
	// undelivered is the end of a job that was not reported to its receiver.
	undelivered = "lost delivery"
	// misdelivered is a webhook that its receiver must not get, or not then.
	misdelivered = "wrong delivery"
	// innocent is a job that failed although its document was not the reason.
	innocent = "innocent failure"
	// undocumented is an answer that the API does not document, or that is wrong.
	undocumented = "undocumented answer"
	// dropped is a connection that was refused or cut without a fault, for example by a service that stops.
	dropped = "dropped connection"
	// leftover is something that should not be there any more.
	leftover = "leftover"
	// crashed is a process that exited unexpectedly.
	crashed = "crash"
	// wasted means that too many attempts failed because a converter that could not work had taken their commands.
	wasted = "wasted attempts"
	// unrecovered is a fault that Docmill did not recover from in time.
	unrecovered = "no recovery"
)

// verdicts are all verdicts in the order of the table.
func verdicts() []string {
	return []string{
		lost, stuck, wrong, changed, revived, duplicated, premature, undelivered, misdelivered, innocent, undocumented, dropped, leftover, crashed, wasted,
		unrecovered,
	}
}

// violation is one thing that Docmill did wrong.
type violation struct {
	verdict, detail string
	at              time.Time
}

// ledger is what clients know: all submissions, and everything that Docmill did wrong. It is safe for concurrent use.
type ledger struct {
	mutex    sync.Mutex
	accepted []*submission
	refused  map[client.Code]int
	unknown  map[string]kind // the submissions whose outcome is unknown, by their tags
	answers  map[string]int  // of polls and downloads that failed
	// epoch counts the beginnings and ends of disturbances: it is odd while connections may fail.
	epoch      atomic.Int64
	violations []violation
	// doubtful is how many requests to submit a document may have left it in the store although they failed: the outcome is not known,
	// or the store failed.
	doubtful atomic.Int64
	// repeats is how many submissions were sent again under their key, and replays how many of these were answered with the job.
	repeats, replays atomic.Int64
	// retries is how many attempts have failed for reasons other than their documents, as seen by clients.
	retries atomic.Int64
}

func newLedger() *ledger {
	return &ledger{refused: make(map[client.Code]int), unknown: make(map[string]kind), answers: make(map[string]int)}
}

// submission is an accepted submission, as its client sees it.
type submission struct {
	id, tag string
	kind    kind
	// sum is the SHA-256 of the document, in hexadecimal.
	sum string
	at  time.Time

	// finished means that the client has seen the end of the job.
	finished atomic.Bool

	mutex sync.Mutex
	busy  bool // guarded by mutex: somebody polls the job, and owns the following
	// due is when the next poll is.
	due     time.Time
	history lifecycle.History
	// retried is the number of the last attempt that the client has seen fail.
	retried int32
	// wish is what the client wants to do with the job.
	wish wish
	// ends are the ends that the client has seen, by their generations.
	ends map[int32]jobapi.Status
	// checked means that the end and the result were checked, and closed that they were seen once more, later.
	checked, closed bool
	// blamed are the verdicts that were recorded, one of each.
	blamed []string
}

// ended reports whether the client has seen the end of the job.
func (s *submission) ended() bool { return s.finished.Load() }

func (l *ledger) accept(s *submission) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.accepted = append(l.accepted, s)
}

func (l *ledger) refuse(code client.Code) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.refused[code]++
}

// forget records a submission whose outcome is unknown.
func (l *ledger) forget(tag string, k kind) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.unknown[tag] = k
}

// disturb begins, or ends, a time in which connections may fail.
func (l *ledger) disturb() { l.epoch.Add(1) }

// disconnected records a request that failed without an answer. epoch is what it was when the request began.
func (l *ledger) disconnected(what string, epoch int64, err error) {
	gone := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
	if gone && epoch%2 == 0 && epoch == l.epoch.Load() {
		l.violatef(dropped, "%s: %v", what, err)
	}
}

// answer counts an answer other than a job or a result.
func (l *ledger) answer(what string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.answers[what]++
}

func (l *ledger) violatef(verdict, format string, arguments ...any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.violations = append(l.violations, violation{verdict, fmt.Sprintf(format, arguments...), time.Now()})
}

// found reports whether there is a violation with the verdict.
func (l *ledger) found(verdict string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.ContainsFunc(l.violations, func(one violation) bool { return one.verdict == verdict })
}

// blame records a violation of a job, once for each verdict. The caller is busy with the submission.
func (l *ledger) blamef(s *submission, verdict, format string, arguments ...any) {
	if slices.Contains(s.blamed, verdict) {
		return
	}
	s.blamed = append(s.blamed, verdict)
	l.violatef(verdict, "job %s (%s, accepted %s): %s", s.id, s.kind.name, s.at.Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}

// submissions returns the accepted submissions.
func (l *ledger) submissions() []*submission {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.accepted)
}

// outcome returns what became of the submission with a tag: the accepted one, or whether the outcome is unknown.
func (l *ledger) outcome(tag string) (accepted *submission, unknown bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, s := range l.accepted {
		if s.tag == tag {
			return s, false
		}
	}
	_, unknown = l.unknown[tag]
	return nil, unknown
}

// unfinished returns how many accepted jobs have not ended.
func (l *ledger) unfinished() int {
	n := 0
	for _, s := range l.submissions() {
		if !s.ended() {
			n++
		}
	}
	return n
}

// see adds a view of the job to its history. The caller is busy with the submission.
func (l *ledger) see(s *submission, job jobapi.Job) {
	if err := s.history.See(job); err != nil {
		l.blamef(s, changed, "%v", err)
	}
	l.end(s, job)
}

// end records that the client sees the end of a generation of the job.
func (l *ledger) end(s *submission, job jobapi.Job) {
	if !job.Status.Terminal() {
		return
	}
	if before, known := s.ends[job.Generation]; known && before != job.Status {
		l.blamef(s, changed, "generation %d was %s, and is %s", job.Generation, before, job.Status)
	}
	s.ends[job.Generation] = job.Status
}

// seen returns the last view of the job, for messages.
func (s *submission) seen() jobapi.Job {
	last, _ := s.history.Last()
	return last
}
