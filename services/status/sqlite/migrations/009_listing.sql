-- For lists of jobs, which are in the order of the ids within each status. On 1,000,000 jobs it takes a few seconds, once.
CREATE INDEX jobs_listed ON jobs (status, id) WHERE requested_at IS NOT NULL AND withdrawn = 0 AND gone = '';
CREATE INDEX jobs_tagged ON jobs (tag, status, id) WHERE tag <> '' AND requested_at IS NOT NULL AND withdrawn = 0 AND gone = '';
