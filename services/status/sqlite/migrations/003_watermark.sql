-- At most one row: the time up to which all published events have been applied, in microseconds since 1970. Without the row
-- it is not known.
CREATE TABLE watermark (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    applied_until INTEGER NOT NULL
) STRICT;
