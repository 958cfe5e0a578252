package chaos

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

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

// row is a job in the database.
type row struct {
	ID, Tag, Status, Gone, SourceKey, ClaimKey, ResultKey, FailureCode string
	Generation                                                         int32
	ResultPages                                                        int
	Submitted, Withdrawn, FilesDeleted                                 bool
}

func (d *deployment) rows(ctx context.Context) ([]row, error) {
	return query[row](ctx, d,
		`SELECT id::text, tag, status, gone, files_deleted, source_key, claim_key, result_key, failure_code, result_pages, generation,
			requested_at IS NOT NULL AS submitted, withdrawn
		FROM jobs`)
}

// unsent returns the webhooks that are in the database and were not accepted by their receiver.
func (d *deployment) unsent(ctx context.Context) ([]unsent, error) {
	return query[unsent](ctx, d, `SELECT job_id::text AS job, generation, event, state, failures FROM deliveries WHERE state <> 'delivered'`)
}

type unsent struct {
	Job, Event, State    string
	Generation, Failures int32
}

// query reads rows from the database.
func query[T any](ctx context.Context, d *deployment, statement string) ([]T, error) {
	config, err := pgx.ParseConfig(d.space.DatabaseURL)
	if err != nil {
		return nil, err
	}
	config.Password = d.space.DatabasePassword
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	found, err := connection.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	return pgx.CollectRows(found, pgx.RowToStructByName[T])
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
	if d.servers == nil {
		return true
	}
	rows, err := d.rows(ctx)
	if err != nil || slices.ContainsFunc(rows, unfinished) {
		return false
	}
	if unsent, err := d.unsent(ctx); err != nil || len(unsent) > 0 {
		return false
	}
	messages, err := d.servers.RabbitMQ.Messages(ctx, d.space.Vhost)
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

// inspectSingle stops the single process and checks its data directory.
func inspectSingle(ctx context.Context, d *deployment, l *ledger, _ *receiver) (audit, error) {
	blameStuck(l)
	one := d.gateways[0]
	one.held.Store(true)
	if err := one.Stop(ctx); err != nil {
		return audit{}, err
	}
	command := exec.CommandContext(ctx, filepath.Join(one.binaries, "docmill"), "check", "--data="+one.data)
	if output, err := command.CombinedOutput(); err != nil {
		l.violatef(leftover, "docmill check: %v: %s", err, output)
	}
	return audit{}, nil
}

// inspectServices checks what is left in the queues, the database and the store.
func inspectServices(ctx context.Context, d *deployment, l *ledger, hooks *receiver) (audit, error) {
	blameStuck(l)
	messages, err := d.servers.RabbitMQ.Messages(ctx, d.space.Vhost)
	if err != nil {
		return audit{}, err
	}
	for queue, n := range messages {
		if n > 0 {
			l.violatef(leftover, "%d messages in queue %s", n, queue)
		}
	}
	rows, err := d.rows(ctx)
	if err != nil {
		return audit{}, err
	}
	unsent, err := d.unsent(ctx)
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
	return a, a.sweep(ctx, d, l)
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
	sources, err := d.servers.MinIO.Objects(ctx, d.space.SourcesBucket)
	if err != nil {
		return err
	}
	results, err := d.servers.MinIO.Objects(ctx, d.space.ResultsBucket)
	if err != nil {
		return err
	}
	sourceOf, resultOf := map[string]bool{claim.SecretKey: true, installationKey: true}, make(map[string]bool)
	for _, one := range rows {
		sourceOf[one.ClaimKey] = true // also of a deleted job
		if one.Gone != "" {
			if slices.Contains(sources, one.SourceKey) || slices.Contains(results, one.ResultKey) {
				l.violatef(leftover, "the files of job %s, which is %s, are in the store", one.ID, one.Gone)
			}
			continue
		}
		sourceOf[one.SourceKey] = true
		if one.Status != "succeeded" {
			continue
		}
		resultOf[one.ResultKey] = true
		if !slices.Contains(results, one.ResultKey) {
			l.violatef(lost, "the result of job %s is not in the store", one.ID)
		}
	}
	claims := 0
	for _, key := range sources {
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
	for _, key := range results {
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
