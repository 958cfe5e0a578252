-- What the client chose and how the conversion went, as the API shows them. NULL in rows from before, and when there is nothing
-- to show. Secrets (sealed_secrets of the message) are in no column.
ALTER TABLE jobs
    ADD COLUMN target_options jsonb,
    ADD COLUMN report         jsonb;

---- create above / drop below ----

ALTER TABLE jobs
    DROP COLUMN target_options,
    DROP COLUMN report;
