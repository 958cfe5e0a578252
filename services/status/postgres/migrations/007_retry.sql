-- Why the last attempt failed and when the next one may start, while the job waits for it; package stored defines the encoding.
-- Replicas of earlier versions do not clear the column when the next attempt starts: see stored.Retry.
ALTER TABLE jobs ADD COLUMN retry jsonb;

---- create above / drop below ----

ALTER TABLE jobs DROP COLUMN retry;
