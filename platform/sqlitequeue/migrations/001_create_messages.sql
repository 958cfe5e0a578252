-- The numbers of queue are those of message.Queue: 1 commands, 2 events, 3 dead commands.
-- state: 0 ready, 1 leased to a consumer, 2 delayed until available_at, 3 dead.
CREATE TABLE messages (
    id           INTEGER PRIMARY KEY, -- also the order within a queue
    queue        INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    available_at INTEGER NOT NULL, -- Unix time in milliseconds; 0 unless delayed
    deliveries   INTEGER NOT NULL, -- how often it was delivered and returned
    crashes      INTEGER NOT NULL DEFAULT 0, -- how often the process died while it was leased
    death        TEXT NOT NULL,    -- why it is dead; empty unless it is
    type         TEXT NOT NULL,
    content_type TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    job_id       TEXT NOT NULL,
    app          TEXT NOT NULL,
    published_at INTEGER NOT NULL, -- Unix time in microseconds
    attempt      INTEGER NOT NULL,
    trace        TEXT NOT NULL,    -- a JSON object, or empty
    body         BLOB NOT NULL
) STRICT;

-- Its entries of one queue and state are ordered by id.
CREATE INDEX messages_by_state ON messages (queue, state);
CREATE INDEX messages_delayed ON messages (available_at) WHERE state = 2;
