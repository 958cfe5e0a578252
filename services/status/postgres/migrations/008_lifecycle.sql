-- What a job needs to be retried, deleted and forgotten. A replica of an earlier release leaves these columns as they are.
ALTER TABLE jobs
    ADD COLUMN generation        integer NOT NULL DEFAULT 0,
    -- When the housekeeping of the job has to do something next; NULL if nothing is to be done.
    ADD COLUMN due_at            timestamptz,
    ADD COLUMN expires_at        timestamptz,
    ADD COLUMN source_expires_at timestamptz,
    -- Why the job is a tombstone: 'deleted' or 'expired'; empty if it is not one.
    ADD COLUMN gone              text NOT NULL DEFAULT '',
    ADD COLUMN gone_at           timestamptz,
    ADD COLUMN files_deleted     boolean NOT NULL DEFAULT false,
    ADD COLUMN source_deleted    boolean NOT NULL DEFAULT false,
    ADD COLUMN unpublished       boolean NOT NULL DEFAULT false,
    -- The message Target of the command. Its secrets are sealed; this service does not have the key. NULL if the job cannot be
    -- retried any more, and in older rows.
    ADD COLUMN target            bytea,
    ADD COLUMN claim_key         text NOT NULL DEFAULT '',
    -- What the client wants, in microseconds; 0 if it has not said.
    ADD COLUMN retention         bigint NOT NULL DEFAULT 0;

-- The id of this database: files in buckets that another one uses are not deleted.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO installation DEFAULT VALUES;

-- Periodic work that one of the replicas does at a time.
CREATE TABLE chores (
    name    text PRIMARY KEY,
    next_at timestamptz NOT NULL
);

---- create above / drop below ----

DROP TABLE chores;
DROP TABLE installation;
ALTER TABLE jobs
    DROP COLUMN generation,
    DROP COLUMN due_at,
    DROP COLUMN expires_at,
    DROP COLUMN source_expires_at,
    DROP COLUMN gone,
    DROP COLUMN gone_at,
    DROP COLUMN files_deleted,
    DROP COLUMN source_deleted,
    DROP COLUMN unpublished,
    DROP COLUMN target,
    DROP COLUMN claim_key,
    DROP COLUMN retention;
