-- At most one row: when the housekeeping has last looked at the clock, and until when it deletes nothing, because the clock was far
-- ahead of the time before; in microseconds since 1970.
CREATE TABLE observed_clock (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    seen_at    INTEGER NOT NULL,
    held_until INTEGER
) STRICT;
