-- name: GetJob :one
SELECT * FROM jobs WHERE id = ?;

-- The order by the first event is that of the index jobs_unfinished, and nearly that of the submissions.
-- name: GetOldestWaiting :one
SELECT requested_at FROM jobs
WHERE status = 'queued' AND attempt = 0 AND withdrawn = 0 AND requested_at IS NOT NULL
ORDER BY first_seen_at, requested_at
LIMIT 1;

-- name: HasSource :one
SELECT EXISTS (SELECT 1 FROM jobs WHERE source_key = ? AND source_key <> '');

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
    target, claim_key, retention
) VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?,
    ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?
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
    retention = excluded.retention;

-- name: ListDue :many
SELECT * FROM jobs WHERE due_at <= @now ORDER BY due_at LIMIT @max_rows;

-- name: ListUnscheduled :many
SELECT * FROM jobs
WHERE status IN ('succeeded', 'failed', 'canceled') AND expires_at IS NULL
ORDER BY finished_at
LIMIT @max_rows;

-- name: DeleteTombstone :execrows
DELETE FROM jobs WHERE id = ? AND gone <> '' AND files_deleted = 1;

-- name: GetWatermark :one
SELECT applied_until FROM watermark;

-- name: DeleteWatermarkAfter :exec
DELETE FROM watermark WHERE applied_until > ?;

-- name: AdvanceWatermark :exec
INSERT INTO watermark (id, applied_until) VALUES (1, ?)
ON CONFLICT (id) DO UPDATE SET applied_until = max(applied_until, excluded.applied_until);
