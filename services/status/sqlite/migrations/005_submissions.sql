-- Several submissions may be published under the id of one job; it is that of one of them. submission_id is the submission
-- that the row describes; NULL in older rows and if no event has named one. other_submissions is what is known about the
-- others until one is known to be the job's; package stored defines the encoding, which is JSON.
ALTER TABLE jobs ADD COLUMN submission_id BLOB CHECK (length(submission_id) = 16);
ALTER TABLE jobs ADD COLUMN other_submissions TEXT;
