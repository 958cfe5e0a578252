-- name: GetJob :one
SELECT * FROM jobs WHERE id = ?;

-- The order by the first event is that of the index jobs_unfinished, and nearly that of the submissions.
-- name: GetOldestWaiting :one
SELECT requested_at FROM jobs
WHERE status = 'queued' AND attempt = 0 AND withdrawn = 0 AND requested_at IS NOT NULL
ORDER BY first_seen_at, requested_at
LIMIT 1;

-- Reads at most max_rows entries of the index jobs_listed for each status: no status, no entries. One statement reads one
-- snapshot, so that no job that changes its status meanwhile is missing. The conditions of the index must be in the query.
-- These are all columns of the table, but the report, which may have 20 kB, is not read.
-- name: ListJobs :many
SELECT
    id, version, first_seen_at, status, attempt, updated_at, phase, percent, started_at, finished_at, requested_at, source_key,
    source_filename, source_format, source_content_type, source_size, source_sha256, target_format, target_options, tag, result_key,
    result_content_type, result_size, result_sha256, result_pages, warnings, failure_code, failure_detail, failure_retryable,
    (SELECT unread.report FROM jobs AS unread WHERE 0) AS report, withdrawn, submission_id, other_submissions, retry, generation, due_at,
    expires_at, source_expires_at, gone, gone_at, files_deleted, source_deleted, unpublished, target, claim_key, retention, callback,
    cache_digest, build
FROM jobs WHERE id IN (
    SELECT first_newest.id FROM (
        SELECT first.id FROM jobs AS first
        WHERE first.status = @first_status
            AND first.requested_at IS NOT NULL AND first.withdrawn = 0 AND first.gone = '' AND first.id >= @from_id AND first.id < @before_id
        ORDER BY first.id DESC LIMIT @max_rows
    ) AS first_newest
    UNION ALL
    SELECT second_newest.id FROM (
        SELECT second.id FROM jobs AS second
        WHERE second.status = @second_status
            AND second.requested_at IS NOT NULL AND second.withdrawn = 0 AND second.gone = '' AND second.id >= @from_id AND second.id < @before_id
        ORDER BY second.id DESC LIMIT @max_rows
    ) AS second_newest
    UNION ALL
    SELECT third_newest.id FROM (
        SELECT third.id FROM jobs AS third
        WHERE third.status = @third_status
            AND third.requested_at IS NOT NULL AND third.withdrawn = 0 AND third.gone = '' AND third.id >= @from_id AND third.id < @before_id
        ORDER BY third.id DESC LIMIT @max_rows
    ) AS third_newest
    UNION ALL
    SELECT fourth_newest.id FROM (
        SELECT fourth.id FROM jobs AS fourth
        WHERE fourth.status = @fourth_status
            AND fourth.requested_at IS NOT NULL AND fourth.withdrawn = 0 AND fourth.gone = '' AND fourth.id >= @from_id AND fourth.id < @before_id
        ORDER BY fourth.id DESC LIMIT @max_rows
    ) AS fourth_newest
    UNION ALL
    SELECT fifth_newest.id FROM (
        SELECT fifth.id FROM jobs AS fifth
        WHERE fifth.status = @fifth_status
            AND fifth.requested_at IS NOT NULL AND fifth.withdrawn = 0 AND fifth.gone = '' AND fifth.id >= @from_id AND fifth.id < @before_id
        ORDER BY fifth.id DESC LIMIT @max_rows
    ) AS fifth_newest
)
ORDER BY id DESC LIMIT @max_rows;

-- The same with the index jobs_tagged.
-- name: ListTaggedJobs :many
SELECT
    id, version, first_seen_at, status, attempt, updated_at, phase, percent, started_at, finished_at, requested_at, source_key,
    source_filename, source_format, source_content_type, source_size, source_sha256, target_format, target_options, tag, result_key,
    result_content_type, result_size, result_sha256, result_pages, warnings, failure_code, failure_detail, failure_retryable,
    (SELECT unread.report FROM jobs AS unread WHERE 0) AS report, withdrawn, submission_id, other_submissions, retry, generation, due_at,
    expires_at, source_expires_at, gone, gone_at, files_deleted, source_deleted, unpublished, target, claim_key, retention, callback,
    cache_digest, build
FROM jobs WHERE id IN (
    SELECT first_newest.id FROM (
        SELECT first.id FROM jobs AS first
        WHERE first.tag = @tag AND first.tag <> '' AND first.status = @first_status
            AND first.requested_at IS NOT NULL AND first.withdrawn = 0 AND first.gone = '' AND first.id >= @from_id AND first.id < @before_id
        ORDER BY first.id DESC LIMIT @max_rows
    ) AS first_newest
    UNION ALL
    SELECT second_newest.id FROM (
        SELECT second.id FROM jobs AS second
        WHERE second.tag = @tag AND second.tag <> '' AND second.status = @second_status
            AND second.requested_at IS NOT NULL AND second.withdrawn = 0 AND second.gone = '' AND second.id >= @from_id AND second.id < @before_id
        ORDER BY second.id DESC LIMIT @max_rows
    ) AS second_newest
    UNION ALL
    SELECT third_newest.id FROM (
        SELECT third.id FROM jobs AS third
        WHERE third.tag = @tag AND third.tag <> '' AND third.status = @third_status
            AND third.requested_at IS NOT NULL AND third.withdrawn = 0 AND third.gone = '' AND third.id >= @from_id AND third.id < @before_id
        ORDER BY third.id DESC LIMIT @max_rows
    ) AS third_newest
    UNION ALL
    SELECT fourth_newest.id FROM (
        SELECT fourth.id FROM jobs AS fourth
        WHERE fourth.tag = @tag AND fourth.tag <> '' AND fourth.status = @fourth_status
            AND fourth.requested_at IS NOT NULL AND fourth.withdrawn = 0 AND fourth.gone = '' AND fourth.id >= @from_id AND fourth.id < @before_id
        ORDER BY fourth.id DESC LIMIT @max_rows
    ) AS fourth_newest
    UNION ALL
    SELECT fifth_newest.id FROM (
        SELECT fifth.id FROM jobs AS fifth
        WHERE fifth.tag = @tag AND fifth.tag <> '' AND fifth.status = @fifth_status
            AND fifth.requested_at IS NOT NULL AND fifth.withdrawn = 0 AND fifth.gone = '' AND fifth.id >= @from_id AND fifth.id < @before_id
        ORDER BY fifth.id DESC LIMIT @max_rows
    ) AS fifth_newest
)
ORDER BY id DESC LIMIT @max_rows;

-- Reads the whole index jobs_listed.
-- name: CountJobs :many
SELECT status, count(*) AS jobs FROM jobs WHERE requested_at IS NOT NULL AND withdrawn = 0 AND gone = '' GROUP BY status;

-- name: HasSource :one
SELECT EXISTS (SELECT 1 FROM jobs WHERE source_key = ? AND source_key <> '' AND files_deleted = 0);

-- name: GetJobOfSource :one
SELECT * FROM jobs WHERE source_key = ? AND source_key <> '' ORDER BY files_deleted, source_deleted LIMIT 1;

-- name: ListJobsAfter :many
SELECT * FROM jobs WHERE id > ? ORDER BY id LIMIT ?;

-- name: RestartDeadlines :exec
UPDATE jobs SET first_seen_at = ? WHERE status IN ('queued', 'running');

-- name: ListOverdue :many
SELECT * FROM jobs
WHERE status IN ('queued', 'running') AND withdrawn = 0 AND first_seen_at < @first_seen_before
ORDER BY first_seen_at
LIMIT @max_rows;

-- name: DeleteWithdrawn :execrows
DELETE FROM jobs WHERE id IN (
    SELECT old.id FROM jobs AS old
    WHERE old.withdrawn = 1 AND old.first_seen_at < @first_seen_before
    ORDER BY old.first_seen_at
    LIMIT @max_rows
);

-- Keeps first_seen_at of a row that exists, unless a new generation begins.
-- name: WriteJob :exec
INSERT INTO jobs (
    id, version, first_seen_at, status, attempt, updated_at, phase, percent, started_at, finished_at,
    requested_at, source_key, source_filename, source_format, source_content_type, source_size, source_sha256,
    target_format, target_options, tag,
    result_key, result_content_type, result_size, result_sha256, result_pages, warnings,
    failure_code, failure_detail, failure_retryable, report, withdrawn, submission_id, other_submissions,
    retry, generation, due_at, expires_at, source_expires_at, gone, gone_at, files_deleted, source_deleted, unpublished,
    target, claim_key, retention, callback, cache_digest, build
) VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?,
    ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?
) ON CONFLICT (id) DO UPDATE SET
    version = excluded.version,
    status = excluded.status,
    attempt = excluded.attempt,
    updated_at = excluded.updated_at,
    phase = excluded.phase,
    percent = excluded.percent,
    started_at = excluded.started_at,
    finished_at = excluded.finished_at,
    requested_at = excluded.requested_at,
    source_key = excluded.source_key,
    source_filename = excluded.source_filename,
    source_format = excluded.source_format,
    source_content_type = excluded.source_content_type,
    source_size = excluded.source_size,
    source_sha256 = excluded.source_sha256,
    target_format = excluded.target_format,
    target_options = excluded.target_options,
    tag = excluded.tag,
    result_key = excluded.result_key,
    result_content_type = excluded.result_content_type,
    result_size = excluded.result_size,
    result_sha256 = excluded.result_sha256,
    result_pages = excluded.result_pages,
    warnings = excluded.warnings,
    failure_code = excluded.failure_code,
    failure_detail = excluded.failure_detail,
    failure_retryable = excluded.failure_retryable,
    report = excluded.report,
    withdrawn = excluded.withdrawn,
    submission_id = excluded.submission_id,
    other_submissions = excluded.other_submissions,
    retry = excluded.retry,
    -- The deadline of a new generation counts from now.
    first_seen_at = CASE WHEN jobs.generation < excluded.generation THEN excluded.first_seen_at ELSE jobs.first_seen_at END,
    generation = excluded.generation,
    due_at = excluded.due_at,
    expires_at = excluded.expires_at,
    source_expires_at = excluded.source_expires_at,
    gone = excluded.gone,
    gone_at = excluded.gone_at,
    files_deleted = excluded.files_deleted,
    source_deleted = excluded.source_deleted,
    unpublished = excluded.unpublished,
    target = excluded.target,
    claim_key = excluded.claim_key,
    retention = excluded.retention,
    callback = excluded.callback,
    cache_digest = excluded.cache_digest,
    build = excluded.build;

-- The conditions of the index jobs_cached must be in the query.
-- name: GetReusable :one
SELECT * FROM jobs
WHERE cache_digest = @cache_digest AND build = @build AND build IS NOT NULL AND status = 'succeeded' AND gone = ''
    AND requested_at IS NOT NULL AND expires_at > @now
ORDER BY expires_at DESC
LIMIT 1;

-- name: ListDue :many
SELECT * FROM jobs WHERE due_at <= @now ORDER BY due_at LIMIT @max_rows;

-- The condition of the index jobs_requested must be in the query, word for word.
-- name: ListDueRequests :many
SELECT * FROM jobs
WHERE due_at <= @now AND (unpublished = 1 OR gone = 'deleted' AND files_deleted = 0)
ORDER BY due_at
LIMIT @max_rows;

-- name: ListUnscheduled :many
SELECT * FROM jobs
WHERE status IN ('succeeded', 'failed', 'canceled') AND expires_at IS NULL
ORDER BY finished_at
LIMIT @max_rows;

-- name: DeleteTombstone :execrows
DELETE FROM jobs WHERE id = ? AND gone <> '' AND files_deleted = 1;

-- name: GetObservedClock :one
SELECT seen_at, held_until, jumped_at, trusted_at FROM observed_clock;

-- name: SetObservedClock :exec
INSERT OR REPLACE INTO observed_clock (id, seen_at, held_until, jumped_at, trusted_at)
VALUES (1, @seen_at, @held_until, @jumped_at, @trusted_at);

-- name: GetWatermark :one
SELECT applied_until FROM watermark;

-- name: DeleteWatermarkAfter :exec
DELETE FROM watermark WHERE applied_until > ?;

-- name: AdvanceWatermark :exec
INSERT INTO watermark (id, applied_until) VALUES (1, ?)
ON CONFLICT (id) DO UPDATE SET applied_until = max(applied_until, excluded.applied_until);

-- A delivery waits for the earlier ones of its job. Until they are settled, it need not be looked at.
-- name: InsertDelivery :exec
INSERT INTO deliveries (job_id, generation, event, url, receiver, payload, enqueued_at, due_at)
SELECT @job_id, @generation, @event, @url, @receiver, @payload, @now,
    coalesce((SELECT max(due_at) FROM deliveries WHERE job_id = @job_id AND state = 'pending'), @now)
WHERE true
ON CONFLICT DO NOTHING;

-- name: NextReceiver :one
SELECT receiver, due_at FROM deliveries
WHERE state = 'pending' AND receiver > @after
ORDER BY receiver, due_at LIMIT 1;

-- name: LeaseDeliveries :many
UPDATE deliveries SET lease = lease + 1, leased = 1, due_at = @until
WHERE (job_id, generation) IN (
    SELECT d.job_id, d.generation FROM deliveries AS d
    WHERE d.state = 'pending' AND d.receiver = @receiver AND d.due_at <= @now
        AND NOT EXISTS (
            SELECT 1 FROM deliveries AS earlier
            WHERE earlier.job_id = d.job_id AND earlier.generation < d.generation AND earlier.state = 'pending'
        )
    ORDER BY d.due_at
    LIMIT @max_rows
)
RETURNING *;

-- name: ReleaseLeases :exec
UPDATE deliveries SET leased = 0, due_at = @now WHERE state = 'pending' AND leased = 1;

-- name: SettleDelivery :execrows
UPDATE deliveries SET
    state = @state,
    failures = @failures,
    due_at = @due_at,
    leased = 0,
    attempts = @attempts
WHERE job_id = @job_id AND generation = @generation AND lease = @lease AND state = 'pending';

-- name: DeleteSettledDeliveries :exec
DELETE FROM deliveries WHERE job_id = @job_id AND job_deleted = 1 AND state <> 'pending';

-- name: MarkDeliveries :exec
UPDATE deliveries SET job_deleted = 1 WHERE job_id = @job_id;

-- name: DelayLaterDeliveries :exec
UPDATE deliveries SET due_at = @due_at
WHERE job_id = @job_id AND generation > @generation AND state = 'pending';

-- name: ListDeliveries :many
SELECT * FROM deliveries WHERE job_id = @job_id ORDER BY generation DESC LIMIT @max_rows;

-- A new lease: what an attempt that is running now reports is ignored.
-- name: ResendDeliveries :execrows
UPDATE deliveries SET state = 'pending', failures = 0, lease = lease + 1, leased = 0, enqueued_at = @now, due_at = @now
WHERE job_id = @job_id;

-- name: DeleteDeliveries :execrows
DELETE FROM deliveries WHERE (job_id, generation) IN (
    SELECT d.job_id, d.generation FROM deliveries AS d
    WHERE d.enqueued_at < @enqueued_before
    ORDER BY d.enqueued_at
    LIMIT @max_rows
);

-- name: CountPendingDeliveries :one
SELECT count(*) AS pending, CAST(coalesce(min(due_at), @now) AS INTEGER) AS first_due_at
FROM (SELECT d.due_at FROM deliveries AS d WHERE d.state = 'pending' LIMIT @max_rows);
