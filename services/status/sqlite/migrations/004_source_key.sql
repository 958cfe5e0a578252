-- To find the job of a stored document. A placeholder has none.
CREATE INDEX jobs_source_key ON jobs (source_key) WHERE source_key <> '';
