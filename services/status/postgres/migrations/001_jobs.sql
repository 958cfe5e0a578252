-- One row per job: the fold of its events. A row without requested_at is a placeholder: events of the job have been
-- applied, but not its submission, and clients do not see it.
CREATE TABLE jobs (
    id                  uuid PRIMARY KEY,
    version             bigint NOT NULL DEFAULT 0,
    -- When the first event was applied, by the database's clock. The job's deadline counts from here.
    first_seen_at       timestamptz NOT NULL DEFAULT now(),
    status              text NOT NULL DEFAULT 'queued'
                        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    attempt             integer NOT NULL DEFAULT 0,
    moved_at            timestamptz,
    phase               smallint NOT NULL DEFAULT 0,
    percent             integer NOT NULL DEFAULT 0,
    started_at          timestamptz,
    finished_at         timestamptz,

    requested_at        timestamptz,
    source_key          text NOT NULL DEFAULT '',
    source_filename     text NOT NULL DEFAULT '',
    source_format       text NOT NULL DEFAULT '',
    source_content_type text NOT NULL DEFAULT '',
    source_size         bigint NOT NULL DEFAULT 0,
    source_sha256       bytea,
    target_format       text NOT NULL DEFAULT '',
    tag                 text NOT NULL DEFAULT '',

    result_key          text NOT NULL DEFAULT '',
    result_content_type text NOT NULL DEFAULT '',
    result_size         bigint NOT NULL DEFAULT 0,
    result_sha256       bytea,
    result_pages        integer NOT NULL DEFAULT 0,
    warnings            jsonb,

    failure_code        text NOT NULL DEFAULT '',
    failure_detail      text NOT NULL DEFAULT '',
    failure_retryable   boolean NOT NULL DEFAULT false
-- A row is written about four times in its first minutes. The free third keeps most new versions of a row on its page.
) WITH (fillfactor = 67);

-- For the sweep of jobs that exceed their deadline.
CREATE INDEX jobs_unfinished ON jobs (first_seen_at) WHERE status IN ('queued', 'running');

---- create above / drop below ----

DROP TABLE jobs;
