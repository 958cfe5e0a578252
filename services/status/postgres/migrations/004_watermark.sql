-- One row: the time up to which all published events have been applied, by the database's clock; NULL if it is not known.
CREATE TABLE watermark (
    id            integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    applied_until timestamptz
);
INSERT INTO watermark DEFAULT VALUES;

---- create above / drop below ----

DROP TABLE watermark;
