-- What identifies a result that another job can reuse. NULL if it must not be reused, and in older rows.
ALTER TABLE jobs ADD COLUMN cache_digest BLOB;
ALTER TABLE jobs ADD COLUMN build BLOB;

-- Copies of results have no build, so however many there are, they are not in the index.
CREATE INDEX jobs_cached ON jobs (cache_digest, build, expires_at) WHERE build IS NOT NULL AND status = 'succeeded' AND gone = '';
