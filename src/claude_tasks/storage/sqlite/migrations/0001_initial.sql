-- Times are integer milliseconds since the epoch, UTC. Lists are JSON arrays in text.

CREATE TABLE tasks (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    name                    TEXT    NOT NULL,
    prompt                  TEXT    NOT NULL,
    cron_expr               TEXT    NOT NULL,             -- '' = one-off
    timezone                TEXT    NOT NULL,
    scheduled_at            INTEGER,                      -- one-offs only
    working_dir             TEXT    NOT NULL,
    enabled                 INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    model                   TEXT,
    permission_mode         TEXT,
    allowed_tools           TEXT    NOT NULL,
    disallowed_tools        TEXT    NOT NULL,
    max_turns               INTEGER,
    max_budget_usd          REAL,
    append_system_prompt    TEXT,
    extra_args              TEXT    NOT NULL,
    timeout_seconds         INTEGER NOT NULL,
    overlap                 TEXT    NOT NULL CHECK (overlap IN ('skip', 'queue', 'allow', 'cancel_other')),
    catchup                 TEXT    NOT NULL CHECK (catchup IN ('latest', 'none', 'all')),
    catchup_window_seconds  INTEGER NOT NULL,
    jitter_seconds          INTEGER NOT NULL,
    max_retries             INTEGER NOT NULL,
    max_concurrency         INTEGER,
    on_usage_limit          TEXT    NOT NULL CHECK (on_usage_limit IN ('skip', 'defer')),
    notify_on               TEXT,
    tags                    TEXT    NOT NULL,
    discord_webhook         TEXT,
    slack_webhook           TEXT,
    revision                INTEGER NOT NULL,             -- edits by people
    anchor_at               INTEGER NOT NULL,             -- where @every counts from
    cursor_at               INTEGER NOT NULL,             -- ticks are accounted for up to here
    next_run_at             INTEGER,                      -- NULL: disabled, deleted or spent
    last_run_id             INTEGER,                      -- the last run that really began
    created_at              INTEGER NOT NULL,
    updated_at              INTEGER NOT NULL,
    deleted_at              INTEGER,
    CHECK (next_run_at IS NULL OR (enabled = 1 AND deleted_at IS NULL))
);

-- The agenda: the scheduler's timer is the first row of this index.
CREATE INDEX tasks_agenda ON tasks (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX tasks_by_name ON tasks (name) WHERE deleted_at IS NULL;

CREATE TABLE task_runs (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id                 INTEGER NOT NULL REFERENCES tasks (id),
    trigger                 TEXT    NOT NULL CHECK (trigger IN ('schedule', 'manual')),
    scheduled_for           INTEGER,                      -- the tick; NULL for a manual run
    state                   TEXT    NOT NULL CHECK (state IN
                                ('queued', 'running', 'completed', 'failed', 'cancelled', 'skipped')),
    reason                  TEXT,
    attempt                 INTEGER NOT NULL,
    claim                   INTEGER NOT NULL,             -- fences late supervisors
    claimed_by              TEXT,
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
    UNIQUE (task_id, scheduled_for)                       -- one row per tick, whoever writes
);

CREATE INDEX task_runs_by_task ON task_runs (task_id, id);
CREATE INDEX task_runs_by_state ON task_runs (state, id);
-- These stay small whatever the history: what is in progress is found without walking it.
CREATE INDEX task_runs_active ON task_runs (task_id) WHERE state IN ('queued', 'running');
CREATE INDEX task_runs_running ON task_runs (task_id) WHERE state = 'running';

-- What ended stays as it ended, whatever a late writer believes.
CREATE TRIGGER task_runs_terminal_is_final
BEFORE UPDATE ON task_runs
WHEN OLD.state NOT IN ('queued', 'running')
BEGIN
    SELECT RAISE(ABORT, 'a run that ended is never rewritten');
END;

CREATE TABLE scheduler_leases (
    name                    TEXT    PRIMARY KEY,
    holder                  TEXT,                         -- node id; NULL = free
    epoch                   INTEGER NOT NULL,
    renew_seq               INTEGER NOT NULL,
    ttl_ms                  INTEGER NOT NULL,
    acquired_at             INTEGER,
    renewed_at              INTEGER,
    expires_at              INTEGER,                      -- for people; decides nothing
    host                    TEXT,
    pid                     INTEGER,
    role                    TEXT,
    version                 TEXT
);

INSERT INTO scheduler_leases (name, epoch, renew_seq, ttl_ms) VALUES ('scheduler', 0, 0, 15000);

CREATE TRIGGER scheduler_leases_epoch_never_goes_back
BEFORE UPDATE ON scheduler_leases
WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'the lease epoch never goes back');
END;

CREATE TABLE nodes (
    id                      TEXT    PRIMARY KEY,
    role                    TEXT    NOT NULL,
    host                    TEXT    NOT NULL,
    pid                     INTEGER NOT NULL,
    version                 TEXT    NOT NULL,
    scheduler               INTEGER NOT NULL CHECK (scheduler IN (0, 1)),
    started_at              INTEGER NOT NULL,
    max_concurrent_runs     INTEGER NOT NULL
);

CREATE TABLE settings (
    key                     TEXT    PRIMARY KEY,
    value                   TEXT    NOT NULL,
    updated_at              INTEGER NOT NULL
);

CREATE TABLE changes (
    seq                     INTEGER PRIMARY KEY AUTOINCREMENT,
    topic                   TEXT    NOT NULL,
    ref                     TEXT    NOT NULL,
    at                      INTEGER NOT NULL
);
