-- This row is written only to find out whether the database accepts writes. The row of the watermark, which the replicas
-- write too, may be locked.
CREATE TABLE probe (
    id        integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    probed_at timestamptz
);
INSERT INTO probe DEFAULT VALUES;

---- create above / drop below ----

DROP TABLE probe;
