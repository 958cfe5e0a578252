-- At most one row: when the housekeeping has last looked at the database's clock, and until when it deletes nothing, because the clock
-- was far ahead of the time before.
CREATE TABLE observed_clock (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    seen_at    timestamptz NOT NULL,
    held_until timestamptz
);

---- create above / drop below ----

DROP TABLE observed_clock;
