-- What identifies a result that another job can reuse. NULL if it must not be reused, and in older rows.
ALTER TABLE jobs
    ADD COLUMN cache_digest bytea,
    ADD COLUMN build        bytea;

---- create above / drop below ----

ALTER TABLE jobs
    DROP COLUMN cache_digest,
    DROP COLUMN build;
