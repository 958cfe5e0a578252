-- Set if the client has deleted the job: nothing is kept of its webhooks once they are settled.
ALTER TABLE deliveries ADD COLUMN job_deleted boolean NOT NULL DEFAULT false;

---- create above / drop below ----

ALTER TABLE deliveries DROP COLUMN job_deleted;
