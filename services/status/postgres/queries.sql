-- name: GetJob :one
SELECT * FROM jobs WHERE id = @id;

-- The order by the first event is that of the index jobs_unfinished, and nearly that of the submissions.
-- name: GetOldestWaiting :one
SELECT requested_at, clock_timestamp()::timestamptz AS now FROM jobs
WHERE status = 'queued' AND attempt = 0 AND NOT withdrawn AND requested_at IS NOT NULL
ORDER BY first_seen_at, requested_at
LIMIT 1;

-- Inserts in the order of the array. Callers sort it: replicas that insert the same ids in different orders would
-- deadlock.
-- name: InsertPlaceholders :exec
INSERT INTO jobs (id) SELECT unnest(@ids::uuid[]) ON CONFLICT (id) DO NOTHING;

-- Locks in the order of the ids, for the same reason.
-- name: LockJobs :many
SELECT * FROM jobs WHERE id = ANY(@ids::uuid[]) ORDER BY id FOR UPDATE;

-- Never waits: a row that another transaction has locked is either not overdue, or being ended by another replica.
-- name: LockOverdue :many
SELECT * FROM jobs
WHERE status IN ('queued', 'running') AND NOT withdrawn
    AND first_seen_at < (SELECT least(applied_until, clock_timestamp()) FROM watermark WHERE applied_until IS NOT NULL) - @age::interval
ORDER BY first_seen_at
LIMIT @max_rows
FOR UPDATE SKIP LOCKED;

-- Skips rows that another transaction has locked, for an event of the job or to delete it too.
-- name: DeleteWithdrawn :execrows
DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs
    WHERE withdrawn AND first_seen_at < (SELECT least(applied_until, clock_timestamp()) FROM watermark WHERE applied_until IS NOT NULL) - @age::interval
    ORDER BY first_seen_at
    LIMIT @max_rows
    FOR UPDATE SKIP LOCKED
);

-- name: WriteJob :batchexec
UPDATE jobs SET
    version = @version,
    status = @status,
    attempt = @attempt,
    moved_at = @moved_at,
    phase = @phase,
    percent = @percent,
    started_at = @started_at,
    finished_at = @finished_at,
    requested_at = @requested_at,
    withdrawn = @withdrawn,
    source_key = @source_key,
    source_filename = @source_filename,
    source_format = @source_format,
    source_content_type = @source_content_type,
    source_size = @source_size,
    source_sha256 = @source_sha256,
    target_format = @target_format,
    target_options = @target_options,
    tag = @tag,
    result_key = @result_key,
    result_content_type = @result_content_type,
    result_size = @result_size,
    result_sha256 = @result_sha256,
    result_pages = @result_pages,
    warnings = @warnings,
    failure_code = @failure_code,
    failure_detail = @failure_detail,
    failure_retryable = @failure_retryable,
    report = @report,
    submission_id = @submission_id,
    other_submissions = @other_submissions,
    retry = @retry,
    -- The deadline of a new generation counts from now.
    first_seen_at = CASE WHEN generation < @generation THEN clock_timestamp() ELSE first_seen_at END,
    generation = @generation,
    due_at = @due_at,
    expires_at = @expires_at,
    source_expires_at = @source_expires_at,
    gone = @gone,
    gone_at = @gone_at,
    files_deleted = @files_deleted,
    source_deleted = @source_deleted,
    unpublished = @unpublished,
    target = @target,
    claim_key = @claim_key,
    retention = @retention
WHERE id = @id;

-- name: GetJobs :many
SELECT * FROM jobs WHERE id = ANY(@ids::uuid[]);

-- Never waits: another replica works on a row that is locked.
-- name: LockDue :many
SELECT * FROM jobs WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT @max_rows FOR UPDATE SKIP LOCKED;

-- name: LockUnscheduled :many
SELECT * FROM jobs
WHERE status IN ('succeeded', 'failed', 'canceled') AND expires_at IS NULL
ORDER BY finished_at
LIMIT @max_rows
FOR UPDATE SKIP LOCKED;

-- name: DeleteTombstones :execrows
DELETE FROM jobs WHERE id = ANY(@ids::uuid[]) AND gone <> '' AND files_deleted;

-- name: ListSourceKeys :many
SELECT source_key FROM jobs WHERE source_key = ANY(@keys::text[]) AND source_key <> '';

-- name: ClaimChore :execrows
INSERT INTO chores (name, next_at) VALUES (@name, clock_timestamp() + @every::interval)
ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at WHERE chores.next_at <= clock_timestamp();

-- name: Notify :exec
SELECT pg_notify(@channel, payload) FROM unnest(@payloads::text[]) AS payload;

-- name: GetClock :one
SELECT clock_timestamp()::timestamptz;

-- The watermark may come from a clock that was ahead: a time in the future must not be used.
-- name: GetWatermark :one
SELECT applied_until, clock_timestamp()::timestamptz AS now FROM watermark;

-- If the statement waited for the lock of the row, it reads the clock again: otherwise it could mistake the new value for one in
-- the future.
-- name: AdvanceWatermark :exec
UPDATE watermark SET applied_until = @until::timestamptz
WHERE applied_until IS NULL OR applied_until < @until::timestamptz OR applied_until > clock_timestamp();

-- Checks whether the database accepts writes.
-- name: Probe :exec
UPDATE probe SET probed_at = clock_timestamp();

-- name: RehearseInsert :many
INSERT INTO jobs (id, source_filename)
SELECT gen_random_uuid(), repeat('x', @bytes::integer) FROM generate_series(1, @jobs::integer)
RETURNING id;

-- name: RehearseUpdate :exec
UPDATE jobs SET version = 1, tag = repeat('y', 100) WHERE id = ANY(@ids::uuid[]);
