-- Every node, leading or not, moves a beat while it makes progress: one that stands still for the
-- node's own ttl, on the clock of whoever looks, belongs to a node that hangs. `beat_at` is for people;
-- `beat_monotonic` is the same moment by the clock that nobody sets, in seconds, for whoever looks once.
ALTER TABLE nodes ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN beat_at INTEGER;
ALTER TABLE nodes ADD COLUMN beat_monotonic REAL;
ALTER TABLE nodes ADD COLUMN ttl_ms INTEGER NOT NULL DEFAULT 15000;

-- Steps of the wall clock that moved cursors: the only reason for a second row of one tick.
CREATE TABLE clock_steps (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    seen_at                 INTEGER NOT NULL,             -- by the clock as it stands since
    back_ms                 INTEGER NOT NULL,             -- how far it went back
    node_id                 TEXT    NOT NULL,             -- 'edit': a person was faster than a leader
    epoch                   INTEGER NOT NULL,
    last_run_id             INTEGER NOT NULL              -- the newest run then: what is older may be given again
);

-- Every tick of the schedule up to here has a row of its own; NULL where nobody needs to know.
ALTER TABLE tasks ADD COLUMN decided_until INTEGER;

-- What a clock that was ahead wrote is found by its instant: the furthest is the end of an index.
CREATE INDEX tasks_furthest ON tasks (cursor_at)
WHERE enabled = 1 AND deleted_at IS NULL AND cron_expr <> '';
CREATE INDEX changes_by_instant ON changes (at);

-- The words of `trigger` and `state` are the domain's to check: with a CHECK each new word would
-- have this table copied again.
CREATE TABLE task_runs_new (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id                 INTEGER NOT NULL REFERENCES tasks (id),
    trigger                 TEXT    NOT NULL,
    scheduled_for           INTEGER,                      -- the tick; NULL for a run without one of its own
    state                   TEXT    NOT NULL,
    reason                  TEXT,
    attempt                 INTEGER NOT NULL,
    claim                   INTEGER NOT NULL,             -- fences late supervisors
    claimed_by              TEXT,                         -- who watches it
    launched_by             TEXT,                         -- who may launch this claim, whoever watches
    lease_epoch             INTEGER,
    assigned_to             TEXT,                         -- NULL: the leader's
    not_before              INTEGER NOT NULL,
    queued_at               INTEGER NOT NULL,
    started_at              INTEGER,
    ended_at                INTEGER,
    cancel_requested_at     INTEGER,
    cancel_reason           TEXT,
    exit_code               INTEGER,
    output                  TEXT    NOT NULL DEFAULT '',
    error                   TEXT,
    session_id              TEXT,
    model                   TEXT,
    cost_usd                REAL,
    input_tokens            INTEGER,
    output_tokens           INTEGER,
    cache_read_tokens       INTEGER,
    cache_creation_tokens   INTEGER,
    num_turns               INTEGER,
    permission_denials      TEXT    NOT NULL DEFAULT '[]',
    skipped_count           INTEGER,
    skipped_until           INTEGER,
    log_path                TEXT,
    resumes                 INTEGER NOT NULL DEFAULT 0,   -- how often it went on after a usage limit
    deferred_until          INTEGER,
    resume_of               TEXT,                         -- the session its next attempt goes on in
    unreachable_since       INTEGER,                      -- when it first met a network that is away
    covers                  INTEGER,                      -- the tick a row without one of its own makes good
    retries                 INTEGER NOT NULL DEFAULT 0,   -- how many of the task's it has used up
    UNIQUE (task_id, scheduled_for)                       -- one row per tick, whoever writes
);

INSERT INTO task_runs_new SELECT
    id, task_id, trigger, scheduled_for, state, reason, attempt, claim, claimed_by, claimed_by,
    lease_epoch,
    assigned_to, not_before, queued_at, started_at, ended_at, cancel_requested_at, cancel_reason,
    exit_code, output, error, session_id, model, cost_usd, input_tokens, output_tokens,
    cache_read_tokens, cache_creation_tokens, num_turns, permission_denials, skipped_count,
    skipped_until, log_path, resumes, deferred_until,
    CASE WHEN resumes > 0 AND state IN ('queued', 'running') THEN session_id END, NULL, NULL,
    MAX(0, attempt - 1)
FROM task_runs;

DROP TABLE task_runs;
ALTER TABLE task_runs_new RENAME TO task_runs;

CREATE INDEX task_runs_by_task ON task_runs (task_id, id);
CREATE INDEX task_runs_by_state ON task_runs (state, id);
-- These stay small whatever the history: what is in progress is found without walking it.
CREATE INDEX task_runs_active ON task_runs (task_id) WHERE state IN ('queued', 'running');
CREATE INDEX task_runs_running ON task_runs (task_id) WHERE state = 'running';
CREATE INDEX task_runs_verdicts ON task_runs (task_id, ended_at, id)
WHERE state IN ('completed', 'failed') OR (state = 'skipped'
      AND reason NOT IN ('overlap', 'disabled', 'deleted', 'rescheduled'));
-- What was denied to a task before, whatever else it did.
CREATE INDEX task_runs_denials ON task_runs (task_id, id) WHERE permission_denials <> '[]';
-- A tick that a clock set back gives again runs once more, whoever writes. (Ticks that are missed once
-- more are counted in a row with a range, which keeps none of them from running.)
CREATE UNIQUE INDEX task_runs_given_again ON task_runs (task_id, covers)
WHERE trigger = 'clock_set' AND skipped_until IS NULL;

-- Nearly always empty: rows beside the key are found by the tick that they stand for.
CREATE INDEX task_runs_covering ON task_runs (task_id, covers) WHERE covers IS NOT NULL;

-- What ended stays as it ended, whatever a late writer believes.
CREATE TRIGGER task_runs_terminal_is_final
BEFORE UPDATE ON task_runs
WHEN OLD.state NOT IN ('queued', 'running')
BEGIN
    SELECT RAISE(ABORT, 'a run that ended is never rewritten');
END;

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
