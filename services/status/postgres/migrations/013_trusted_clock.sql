-- What is known of the time during a hold; NULL without one, and if a replica of an earlier release has noticed the jump.
ALTER TABLE observed_clock
    ADD COLUMN jumped_at  timestamptz,
    ADD COLUMN trusted_at timestamptz;

---- create above / drop below ----

ALTER TABLE observed_clock
    DROP COLUMN jumped_at,
    DROP COLUMN trusted_at;
