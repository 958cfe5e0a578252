-- Where and for which ends the client wants a webhook; package stored defines the encoding, which is JSON. NULL in older rows
-- and without a wish.
ALTER TABLE jobs ADD COLUMN callback TEXT;

-- One row per end of a job that a client wants to be told of. It is inserted in the transaction that ends the job, and does not
-- depend on the row of the job after that. Times are microseconds since 1970.
CREATE TABLE deliveries (
    job_id      BLOB NOT NULL CHECK (length(job_id) = 16),
    generation  INTEGER NOT NULL,
    event       TEXT NOT NULL,
    url         TEXT NOT NULL,
    -- The host of the URL. Deliveries are leased for each receiver separately.
    receiver    TEXT NOT NULL,
    payload     BLOB NOT NULL,
    state       TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'abandoned')),
    -- When it was inserted or sent again by an operator.
    enqueued_at INTEGER NOT NULL,
    -- When the next attempt may start. While it is leased, when the lease ends.
    due_at      INTEGER NOT NULL,
    -- How many times it was leased: only the holder of the latest lease may settle it.
    lease       INTEGER NOT NULL DEFAULT 0,
    -- 1 while an attempt may be running. The leases of a process that was killed are released when the next one starts.
    leased      INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    -- The latest attempts; package stored defines the encoding, which is JSON.
    attempts    TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (job_id, generation)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_pending ON deliveries (receiver, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_enqueued ON deliveries (enqueued_at);
