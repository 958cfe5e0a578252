-- What a job needs to be retried, deleted and forgotten.
ALTER TABLE jobs ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
-- When the housekeeping of the job has to do something next; NULL if nothing is to be done.
ALTER TABLE jobs ADD COLUMN due_at INTEGER;
ALTER TABLE jobs ADD COLUMN expires_at INTEGER;
ALTER TABLE jobs ADD COLUMN source_expires_at INTEGER;
-- Why the job is a tombstone: 'deleted' or 'expired'; empty if it is not one.
ALTER TABLE jobs ADD COLUMN gone TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN gone_at INTEGER;
ALTER TABLE jobs ADD COLUMN files_deleted INTEGER NOT NULL DEFAULT 0 CHECK (files_deleted IN (0, 1));
ALTER TABLE jobs ADD COLUMN source_deleted INTEGER NOT NULL DEFAULT 0 CHECK (source_deleted IN (0, 1));
ALTER TABLE jobs ADD COLUMN unpublished INTEGER NOT NULL DEFAULT 0 CHECK (unpublished IN (0, 1));
-- The message Target of the command, with its secrets sealed. NULL in older rows.
ALTER TABLE jobs ADD COLUMN target BLOB;
ALTER TABLE jobs ADD COLUMN claim_key TEXT NOT NULL DEFAULT '';
-- What the client wants, in microseconds; 0 if it has not said.
ALTER TABLE jobs ADD COLUMN retention INTEGER NOT NULL DEFAULT 0;

CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
-- Jobs that an earlier release has ended.
CREATE INDEX jobs_unscheduled ON jobs (finished_at)
    WHERE status IN ('succeeded', 'failed', 'canceled') AND expires_at IS NULL;
