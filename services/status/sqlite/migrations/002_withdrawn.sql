-- A withdrawn job is one whose submission was rejected and that has no other event. It stays for a while, so that a late
-- or repeated event of the submission finds it.
ALTER TABLE jobs ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1));

CREATE INDEX jobs_withdrawn ON jobs (first_seen_at) WHERE withdrawn = 1;
