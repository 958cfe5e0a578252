package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/claim"
)

// audit is what is in the database, the queues and the store when everything has ended.
type audit struct {
	// losingResults are the objects of results of attempts other than the one that ended the job.
	losingResults int
	// unknownSources are the documents that have no job: the outcome of their submission is unknown, or the store failed.
	unknownSources int
	// swept is how many files belonged to no job and were deleted by the sweep at the end.
	swept int
	// unknownJobs are the jobs of submissions whose clients got no answer.
	unknownJobs int
	// withdrawn are the submissions whose rows say that they were refused.
	withdrawn int
}

// add adds the audit of another run.
func (a *audit) add(other audit) {
	a.losingResults += other.losingResults
	a.unknownSources += other.unknownSources
	a.unknownJobs += other.unknownJobs
	a.withdrawn += other.withdrawn
	a.swept += other.swept
}

// settle waits until all jobs have ended, were reviewed, all webhooks were sent, and all queues are empty; or until there is a
// violation with the verdict that is sought.
func settle(ctx context.Context, d *deployment, l *ledger, hooks *receiver, sought string) {
	const pause = 500 * time.Millisecond
	for ctx.Err() == nil && !l.found(sought) && !settled(ctx, d, l, hooks) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func settled(ctx context.Context, d *deployment, l *ledger, hooks *receiver) bool {
	for _, s := range l.submissions() {
		if !s.reviewed() || len(hooks.missing(s)) > 0 {
			return false
		}
	}
	rows, err := d.inventory.rows(ctx)
	if err != nil || slices.ContainsFunc(rows, unfinished) {
		return false
	}
	if unsent, err := d.inventory.unsent(ctx); err != nil || len(unsent) > 0 {
		return false
	}
	messages, err := d.inventory.messages(ctx)
	if err != nil {
		return false
	}
	for _, n := range messages {
		if n > 0 {
			return false
		}
	}
	return true
}

// unfinished reports whether something will still happen to the job, or to its files.
func unfinished(r row) bool {
	return !r.Withdrawn && (r.Status == "queued" || r.Status == "running") || r.Gone != "" && !r.FilesDeleted
}

// reviewed reports whether the end of the job was seen again.
func (s *submission) reviewed() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return !s.busy && s.closed
}

// blameStuck blames the jobs that have not ended.
func blameStuck(l *ledger) {
	for _, s := range l.submissions() {
		if s.mutex.Lock(); !s.closed {
			l.blamef(s, stuck, "it was last seen %s at attempt %d", s.seen().Status, s.seen().Attempt)
		}
		s.mutex.Unlock()
	}
}

// inspect checks what is left in the queues, the database and the store. It does so before anything is stopped: a single process deletes
// orphans when it stops.
func inspect(ctx context.Context, d *deployment, l *ledger, hooks *receiver) (audit, error) {
	blameStuck(l)
	messages, err := d.inventory.messages(ctx)
	if err != nil {
		return audit{}, err
	}
	for queue, n := range messages {
		if n > 0 {
			l.violatef(leftover, "%d messages in queue %s", n, queue)
		}
	}
	rows, err := d.inventory.rows(ctx)
	if err != nil {
		return audit{}, err
	}
	unsent, err := d.inventory.unsent(ctx)
	if err != nil {
		return audit{}, err
	}
	for _, one := range unsent {
		l.violatef(undelivered, "%s about generation %d of job %s is %s after %d failures", one.Event, one.Generation, one.Job, one.State, one.Failures)
	}
	a := audit{}
	a.jobs(l, hooks, rows)
	if err := a.objects(ctx, d, l, rows); err != nil {
		return audit{}, err
	}
	if err := a.sweep(ctx, d, l); err != nil {
		return audit{}, err
	}
	problems, err := d.inventory.check(ctx)
	if problems != "" {
		l.violatef(leftover, "%s", problems)
	}
	return a, err
}

// jobs checks that there is a job for each accepted submission, and none for one that was refused.
func (a *audit) jobs(l *ledger, hooks *receiver, rows []row) {
	byID, byTag := make(map[string]row, len(rows)), make(map[string]string)
	for _, one := range rows {
		byID[one.ID] = one
		if one.Withdrawn || one.Tag == "" {
			continue
		}
		if other := byTag[one.Tag]; other != "" {
			l.violatef(duplicated, "submission %s has the jobs %s and %s", one.Tag, other, one.ID)
		}
		byTag[one.Tag] = one.ID
	}
	for _, s := range l.submissions() {
		switch one, found := byID[s.id]; {
		case !found || one.Withdrawn:
			l.blamef(s, lost, "it is not in the database, or was withdrawn")
		case s.wish.gone() != one.Gone:
			l.blamef(s, revived, "its row says that it is %q instead of %q", one.Gone, s.wish.gone())
		}
		delete(byID, s.id)
	}
	expired := l.unknownExpiring()
	for id, one := range byID {
		kind, unknown := l.unknownKind(one.Tag)
		switch {
		case one.Withdrawn:
			a.withdrawn++
		case one.Gone == "expired" && expired > 0: // tombstones have no tag
			expired--
			a.unknownJobs++
		case unknown:
			a.unknownJobs++
			l.judge(one, kind, hooks)
		case !one.Submitted:
			l.violatef(leftover, "job %s has no submission, and is %s", id, one.Status)
		default:
			l.violatef(leftover, "job %s of a submission that was refused is %s", id, one.Status)
		}
	}
}

// judge checks the end of a job whose client got no answer.
func (l *ledger) judge(of row, k kind, hooks *receiver) {
	what := fmt.Sprintf("job %s (%s) of a submission without an answer", of.ID, k.name)
	switch {
	case unfinished(of):
		l.violatef(stuck, "%s is %s", what, of.Status)
	case of.Status == "succeeded" && of.ResultPages != k.pages:
		l.violatef(wrong, "%s has a result of %d pages", what, of.ResultPages)
	case of.Status != "succeeded" && !k.fails(client.Code(of.FailureCode)):
		l.violatef(innocent, "%s is %s: %s", what, of.Status, of.FailureCode)
	}
	event := "job." + of.Status
	if reported, _ := hooks.accepted(of.ID, of.Generation); reported != event && draw(of.Tag).wants(event) {
		l.violatef(undelivered, "%s is %s, and %q was reported", what, of.Status, reported)
	}
}

// unknownExpiring returns how many of the submissions without an answer may have a job that has expired.
func (l *ledger) unknownExpiring() (n int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for tag := range l.unknown {
		n += ones(draw(tag).expires)
	}
	return n
}

func (l *ledger) unknownKind(tag string) (k kind, found bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	k, found = l.unknown[tag]
	return k, found
}

// installationKey is the key of the blob in both buckets that has the id of the database.
const installationKey = "installation/id"

// objects checks that each job has its document and its result, and that no other objects are there.
func (a *audit) objects(ctx context.Context, d *deployment, l *ledger, rows []row) error {
	files, err := d.inventory.stored(ctx)
	if err != nil {
		return err
	}
	sourceOf, resultOf := map[string]bool{claim.SecretKey: true, installationKey: true}, make(map[string]bool)
	for _, one := range rows {
		sourceOf[one.ClaimKey] = true // also of a deleted job
		if one.Gone != "" {
			if files.has(one.SourceKey, one.ResultKey) {
				l.violatef(leftover, "the files of job %s, which is %s, are in the store", one.ID, one.Gone)
			}
			continue
		}
		sourceOf[one.SourceKey] = true
		if one.Status != "succeeded" {
			continue
		}
		resultOf[one.ResultKey] = true
		if !slices.Contains(files.results, one.ResultKey) {
			l.violatef(lost, "the result of job %s is not in the store", one.ID)
		}
	}
	claims := 0
	for _, key := range files.sources {
		switch {
		case sourceOf[key]:
		case claim.IsKey(key):
			claims++
		case !strings.Contains(key, "/"): // the others are markers of cancellations
			a.unknownSources++
		}
	}
	if possible := int(l.doubtful.Load()); max(a.unknownSources, claims) > possible {
		l.violatef(leftover, "%d documents and %d claims without a job, after %d requests whose documents may remain", a.unknownSources, claims, possible)
	}
	for _, key := range files.results {
		if !resultOf[key] && key != installationKey {
			a.losingResults++
		}
	}
	return nil
}

// unknowns returns the number of submissions whose outcome is unknown.
func (l *ledger) unknowns() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.unknown)
}
