-- One row per job: the fold of its events. A row without requested_at is a placeholder: events of the job have been
-- applied, but not its submission, and clients do not see it. Times are microseconds since 1970 in UTC; NULL is
-- unknown. The encoding of the JSON columns (target_options, warnings, report) is defined by package stored.
CREATE TABLE jobs (
    id                  BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    version             INTEGER NOT NULL,
    -- When the first event was applied. The job's deadline counts from here.
    first_seen_at       INTEGER NOT NULL,
    status              TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    attempt             INTEGER NOT NULL,
    updated_at          INTEGER,
    phase               INTEGER NOT NULL,
    percent             INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,

    requested_at        INTEGER,
    source_key          TEXT NOT NULL,
    source_filename     TEXT NOT NULL,
    source_format       TEXT NOT NULL,
    source_content_type TEXT NOT NULL,
    source_size         INTEGER NOT NULL,
    source_sha256       BLOB,
    target_format       TEXT NOT NULL,
    target_options      TEXT,
    tag                 TEXT NOT NULL,

    result_key          TEXT NOT NULL,
    result_content_type TEXT NOT NULL,
    result_size         INTEGER NOT NULL,
    result_sha256       BLOB,
    result_pages        INTEGER NOT NULL,
    warnings            TEXT,

    failure_code        TEXT NOT NULL,
    failure_detail      TEXT NOT NULL,
    failure_retryable   INTEGER NOT NULL CHECK (failure_retryable IN (0, 1)),
    report              TEXT
) STRICT;

-- For the sweep of jobs that exceed their deadline.
CREATE INDEX jobs_unfinished ON jobs (first_seen_at) WHERE status IN ('queued', 'running');
