-- Why the last attempt failed and when the next one may start, while the job waits for it; package stored defines the encoding,
-- which is JSON.
ALTER TABLE jobs ADD COLUMN retry TEXT;
