-- The options that the client chose and the report of the conversion; package stored defines their encoding. NULL in
-- older rows and if there is nothing to keep. Secrets (sealed_secrets of the message) are not stored in any column.
ALTER TABLE jobs
    ADD COLUMN target_options jsonb,
    ADD COLUMN report         jsonb;

---- create above / drop below ----

ALTER TABLE jobs
    DROP COLUMN target_options,
    DROP COLUMN report;
