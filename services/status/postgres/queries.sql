-- name: GetJob :one
SELECT * FROM jobs WHERE id = @id;

-- The order by the first event is that of the index jobs_unfinished, and nearly that of the submissions.
-- name: GetOldestWaiting :one
SELECT requested_at, clock_timestamp()::timestamptz AS now FROM jobs
WHERE status = 'queued' AND attempt = 0 AND NOT withdrawn AND requested_at IS NOT NULL
ORDER BY first_seen_at, requested_at
LIMIT 1;

-- Reads at most max_rows entries of the index jobs_listed for each status. The conditions of the index must be in the query.
-- These are all columns of the table, but the report, which may have 20 kB, is not read.
-- name: ListJobs :many
SELECT
    id, version, first_seen_at, status, attempt, moved_at, phase, percent, started_at, finished_at, requested_at, source_key,
    source_filename, source_format, source_content_type, source_size, source_sha256, target_format, tag, result_key, result_content_type,
    result_size, result_sha256, result_pages, warnings, failure_code, failure_detail, failure_retryable, target_options,
    (SELECT unread.report FROM jobs AS unread WHERE false) AS report, withdrawn, submission_id, other_submissions, retry, generation,
    due_at, expires_at, source_expires_at, gone, gone_at, files_deleted, source_deleted, unpublished, target, claim_key, retention,
    callback, cache_digest, build
FROM jobs
WHERE id = ANY(ARRAY(
    SELECT newest.id FROM unnest(@statuses::text[]) AS wanted(status)
    CROSS JOIN LATERAL (
        SELECT listed.id FROM jobs AS listed
        WHERE listed.status = wanted.status AND listed.requested_at IS NOT NULL AND NOT listed.withdrawn AND listed.gone = ''
            AND listed.id >= @from_id AND listed.id < @before_id
        ORDER BY listed.id DESC
        LIMIT @max_rows
    ) AS newest
    ORDER BY newest.id DESC
    LIMIT @max_rows
))
ORDER BY id DESC;

-- The same with the index jobs_tagged, which has the beginnings of the tags: entries of an index have a maximum size.
-- name: ListTaggedJobs :many
SELECT
    id, version, first_seen_at, status, attempt, moved_at, phase, percent, started_at, finished_at, requested_at, source_key,
    source_filename, source_format, source_content_type, source_size, source_sha256, target_format, tag, result_key, result_content_type,
    result_size, result_sha256, result_pages, warnings, failure_code, failure_detail, failure_retryable, target_options,
    (SELECT unread.report FROM jobs AS unread WHERE false) AS report, withdrawn, submission_id, other_submissions, retry, generation,
    due_at, expires_at, source_expires_at, gone, gone_at, files_deleted, source_deleted, unpublished, target, claim_key, retention,
    callback, cache_digest, build
FROM jobs
WHERE id = ANY(ARRAY(
    SELECT newest.id FROM unnest(@statuses::text[]) AS wanted(status)
    CROSS JOIN LATERAL (
        SELECT listed.id FROM jobs AS listed
        WHERE left(listed.tag, 128) = left(@tag, 128) AND listed.tag = @tag AND listed.tag <> '' AND listed.status = wanted.status
            AND listed.requested_at IS NOT NULL AND NOT listed.withdrawn AND listed.gone = ''
            AND listed.id >= @from_id AND listed.id < @before_id
        ORDER BY listed.id DESC
        LIMIT @max_rows
    ) AS newest
    ORDER BY newest.id DESC
    LIMIT @max_rows
))
ORDER BY id DESC;

-- Reads the whole index jobs_listed.
-- name: CountJobs :many
SELECT status, count(*) AS jobs FROM jobs WHERE requested_at IS NOT NULL AND NOT withdrawn AND gone = '' GROUP BY status;

-- name: ListWaits :many
SELECT requested_at, started_at FROM jobs
WHERE started_at IS NOT NULL AND id = ANY(ARRAY(
    SELECT newest.id FROM unnest(@statuses::text[]) AS wanted(status)
    CROSS JOIN LATERAL (
        SELECT listed.id FROM jobs AS listed
        WHERE listed.status = wanted.status AND listed.requested_at IS NOT NULL AND NOT listed.withdrawn AND listed.gone = ''
        ORDER BY listed.id DESC
        LIMIT @max_rows
    ) AS newest
    ORDER BY newest.id DESC
    LIMIT @max_rows
))
ORDER BY id DESC;

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
    retention = @retention,
    callback = @callback,
    cache_digest = @cache_digest,
    build = @build
WHERE id = @id;

-- Reads one entry of the index jobs_cached for each build. The conditions of the index must be in the query.
-- name: GetReusable :one
SELECT * FROM jobs WHERE id = (
    SELECT latest.id FROM unnest(@builds::bytea[]) AS wanted(build)
    CROSS JOIN LATERAL (
        SELECT made.id, made.expires_at FROM jobs AS made
        WHERE made.cache_digest = @cache_digest AND made.build = wanted.build AND made.build IS NOT NULL
            AND made.status = 'succeeded' AND made.gone = '' AND made.requested_at IS NOT NULL AND made.expires_at > clock_timestamp()
        ORDER BY made.expires_at DESC
        LIMIT 1
    ) AS latest
    ORDER BY latest.expires_at DESC
    LIMIT 1
);

-- name: GetJobs :many
SELECT * FROM jobs WHERE id = ANY(@ids::uuid[]);

-- Never waits: another replica works on a row that is locked.
-- name: LockDue :many
SELECT * FROM jobs WHERE due_at <= clock_timestamp() - @lag::interval ORDER BY due_at LIMIT @max_rows FOR UPDATE SKIP LOCKED;

-- The condition of the index jobs_requested must be in the query.
-- name: LockDueRequests :many
SELECT * FROM jobs
WHERE due_at <= clock_timestamp() AND (unpublished OR gone = 'deleted' AND NOT files_deleted)
ORDER BY due_at
LIMIT @max_rows
FOR UPDATE SKIP LOCKED;

-- name: LockUnscheduled :many
SELECT * FROM jobs
WHERE status IN ('succeeded', 'failed', 'canceled') AND expires_at IS NULL
ORDER BY finished_at
LIMIT @max_rows
FOR UPDATE SKIP LOCKED;

-- name: DeleteTombstones :execrows
DELETE FROM jobs WHERE id = ANY(@ids::uuid[]) AND gone <> '' AND files_deleted;

-- name: ListSourceKeys :many
SELECT source_key FROM jobs WHERE source_key = ANY(@keys::text[]) AND source_key <> '' AND NOT files_deleted;

-- name: GetInstallation :one
SELECT id FROM installation;

-- name: InsertObservedClock :exec
INSERT INTO observed_clock (seen_at) VALUES (clock_timestamp()) ON CONFLICT (one) DO NOTHING;

-- name: LockObservedClock :one
SELECT seen_at, held_until, jumped_at, trusted_at, clock_timestamp()::timestamptz AS now FROM observed_clock FOR UPDATE;

-- name: SetObservedClock :exec
UPDATE observed_clock SET seen_at = @seen_at, held_until = @held_until, jumped_at = @jumped_at, trusted_at = @trusted_at;

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

-- A delivery waits for the earlier ones of its job. Until they are settled, it need not be looked at.
-- name: InsertDelivery :batchexec
INSERT INTO deliveries (job_id, generation, event, url, receiver, payload, due_at)
SELECT @job_id::uuid, @generation::integer, @event::text, @url::text, @receiver::text, @payload::bytea,
    coalesce(max(earlier.due_at), clock_timestamp())
FROM deliveries AS earlier WHERE earlier.job_id = @job_id::uuid AND earlier.state = 'pending'
ON CONFLICT DO NOTHING;

-- Reads the first pending delivery of each receiver with one probe of the index, however many the receiver has.
-- name: ListReceivers :many
WITH RECURSIVE pending (receiver, due_at, visits) AS (
    (
        SELECT d.receiver, d.due_at, 1 FROM deliveries AS d
        WHERE d.state = 'pending' AND d.receiver > @after::text
        ORDER BY d.receiver, d.due_at LIMIT 1
    )
    UNION ALL
    SELECT following.receiver, following.due_at, pending.visits + 1
    FROM pending CROSS JOIN LATERAL (
        SELECT d.receiver, d.due_at FROM deliveries AS d
        WHERE d.state = 'pending' AND d.receiver > pending.receiver
        ORDER BY d.receiver, d.due_at LIMIT 1
    ) AS following
    WHERE pending.visits < @max_rows::integer
)
SELECT receiver::text AS receiver, (due_at <= clock_timestamp())::boolean AS due FROM pending;

-- name: LeaseDeliveries :many
UPDATE deliveries SET lease = lease + 1, due_at = clock_timestamp() + @duration::interval
WHERE (job_id, generation) IN (
    SELECT d.job_id, d.generation FROM deliveries AS d
    WHERE d.state = 'pending' AND d.receiver = @receiver AND d.due_at <= clock_timestamp()
        AND NOT EXISTS (
            SELECT 1 FROM deliveries AS earlier
            WHERE earlier.job_id = d.job_id AND earlier.generation < d.generation AND earlier.state = 'pending'
        )
    ORDER BY d.due_at
    LIMIT @max_rows
    FOR UPDATE SKIP LOCKED
)
RETURNING job_id, generation, event, url, receiver, payload, lease, failures, enqueued_at, due_at, attempts,
    (clock_timestamp() - enqueued_at)::interval AS age;

-- name: SettleDelivery :execrows
UPDATE deliveries SET
    state = @state,
    failures = @failures,
    due_at = clock_timestamp() + @delay::interval,
    attempts = @attempts
WHERE job_id = @job_id AND generation = @generation AND lease = @lease AND state = 'pending';

-- name: DeleteSettledDeliveries :exec
DELETE FROM deliveries WHERE job_id = @job_id AND job_deleted AND state <> 'pending';

-- Waits for attempts that are being settled. The order of the locks is that of SettleDelivery and DelayLaterDeliveries.
-- name: MarkDeliveries :exec
UPDATE deliveries SET job_deleted = true WHERE (job_id, generation) IN (
    SELECT d.job_id, d.generation FROM deliveries AS d WHERE d.job_id = @job_id ORDER BY d.generation FOR UPDATE
);

-- name: DelayLaterDeliveries :exec
UPDATE deliveries SET due_at = clock_timestamp() + @delay::interval
WHERE job_id = @job_id AND generation > @generation AND state = 'pending';

-- name: ListDeliveries :many
SELECT job_id, generation, event, url, receiver, state, failures, enqueued_at, due_at, attempts FROM deliveries
WHERE job_id = @job_id ORDER BY generation DESC LIMIT @max_rows;

-- A new lease: what an attempt that is running now reports is ignored.
-- name: ResendDeliveries :execrows
UPDATE deliveries SET
    state = 'pending', failures = 0, lease = lease + 1, enqueued_at = clock_timestamp(), due_at = clock_timestamp()
WHERE job_id = @job_id;

-- name: DeleteDeliveries :execrows
DELETE FROM deliveries WHERE (job_id, generation) IN (
    SELECT d.job_id, d.generation FROM deliveries AS d
    WHERE d.enqueued_at < clock_timestamp() - @age::interval
    ORDER BY d.enqueued_at
    LIMIT @max_rows
    FOR UPDATE SKIP LOCKED
);

-- name: CountPendingDeliveries :one
SELECT count(*) AS pending, coalesce(clock_timestamp() - min(due_at), '0')::interval AS overdue
FROM (SELECT d.due_at FROM deliveries AS d WHERE d.state = 'pending' LIMIT @max_rows) AS counted;
