-- What clients have requested is found among many jobs that have expired.
CREATE INDEX jobs_requested ON jobs (due_at) WHERE unpublished = 1 OR gone = 'deleted' AND files_deleted = 0;
