-- Who is to be told what: ends of runs that nobody looked at yet, and messages on their way.

-- Written by the database itself in the transaction that ends a run, whichever way it ends.
CREATE TABLE outbox (
    run_id                  INTEGER PRIMARY KEY REFERENCES task_runs (id)
);

CREATE TRIGGER task_runs_ended
AFTER UPDATE OF state ON task_runs
WHEN NEW.state NOT IN ('queued', 'running') AND OLD.state IN ('queued', 'running')
BEGIN
    INSERT OR IGNORE INTO outbox (run_id) VALUES (NEW.id);
END;

CREATE TRIGGER task_runs_born_ended
AFTER INSERT ON task_runs
WHEN NEW.state NOT IN ('queued', 'running')
BEGIN
    INSERT OR IGNORE INTO outbox (run_id) VALUES (NEW.id);
END;

CREATE TABLE deliveries (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id                 INTEGER NOT NULL REFERENCES tasks (id),
    run_id                  INTEGER REFERENCES task_runs (id),   -- NULL: about the task itself
    tick                    INTEGER,                             -- of an overdue task
    channel                 TEXT    NOT NULL,
    target                  TEXT    NOT NULL,                    -- a secret
    event                   TEXT    NOT NULL,
    state                   TEXT    NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
    attempts                INTEGER NOT NULL,
    next_attempt_at         INTEGER,
    created_at              INTEGER NOT NULL,
    ended_at                INTEGER,
    error                   TEXT,
    UNIQUE (run_id, channel, target),
    UNIQUE (task_id, tick, channel, target)
);

CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE state = 'pending';

ALTER TABLE tasks ADD COLUMN webhook_url TEXT;
ALTER TABLE tasks ADD COLUMN apprise_url TEXT;
