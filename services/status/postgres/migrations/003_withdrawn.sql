-- A withdrawn job is one whose submission was rejected and that has no other event. It stays for a while, so that a late
-- or repeated event of the submission finds it.
ALTER TABLE jobs ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;

CREATE INDEX jobs_withdrawn ON jobs (first_seen_at) WHERE withdrawn;

---- create above / drop below ----

ALTER TABLE jobs DROP COLUMN withdrawn;
