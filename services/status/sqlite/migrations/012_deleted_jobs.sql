-- 1 if the client has deleted the job: nothing is kept of its webhooks once they are settled.
ALTER TABLE deliveries ADD COLUMN job_deleted INTEGER NOT NULL DEFAULT 0;
