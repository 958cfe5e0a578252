-- Where and for which ends the client wants a webhook; package stored defines the encoding. NULL in older rows and without a
-- wish.
ALTER TABLE jobs ADD COLUMN callback jsonb;

-- One row per end of a job that a client wants to be told of. It is inserted in the transaction that ends the job, and does not
-- depend on the row of the job after that.
CREATE TABLE deliveries (
    job_id      uuid NOT NULL,
    generation  integer NOT NULL,
    event       text NOT NULL,
    url         text NOT NULL,
    -- The host of the URL. Deliveries are leased for each receiver separately.
    receiver    text COLLATE "C" NOT NULL,
    payload     bytea NOT NULL,
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'abandoned')),
    -- When it was inserted or sent again by an operator.
    enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the next attempt may start. While it is leased, when the lease ends.
    due_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- How many times it was leased: only the holder of the latest lease may settle it.
    lease       bigint NOT NULL DEFAULT 0,
    failures    integer NOT NULL DEFAULT 0,
    -- The latest attempts; package stored defines the encoding.
    attempts    jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (job_id, generation)
);

CREATE INDEX deliveries_pending ON deliveries (receiver, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_enqueued ON deliveries (enqueued_at);

---- create above / drop below ----

DROP TABLE deliveries;
ALTER TABLE jobs DROP COLUMN callback;
