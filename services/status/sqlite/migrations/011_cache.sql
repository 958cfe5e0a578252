-- What identifies a result that another job can reuse. NULL if it must not be reused, and in older rows.
ALTER TABLE jobs ADD COLUMN cache_digest BLOB;
ALTER TABLE jobs ADD COLUMN build BLOB;

CREATE INDEX jobs_cached ON jobs (cache_digest, expires_at) WHERE cache_digest IS NOT NULL AND status = 'succeeded' AND gone = '';
