-- Where messages about a task go: a row for each channel, so that a new channel needs no column.
CREATE TABLE task_addresses (
    task_id                 INTEGER NOT NULL REFERENCES tasks (id),
    channel                 TEXT    NOT NULL,
    address                 TEXT    NOT NULL,             -- a secret
    PRIMARY KEY (task_id, channel)
) WITHOUT ROWID;

INSERT INTO task_addresses
SELECT id, 'discord', discord_webhook FROM tasks WHERE discord_webhook <> ''
UNION ALL SELECT id, 'slack', slack_webhook FROM tasks WHERE slack_webhook <> ''
UNION ALL SELECT id, 'webhook', webhook_url FROM tasks WHERE webhook_url <> ''
UNION ALL SELECT id, 'apprise', apprise_url FROM tasks WHERE apprise_url <> '';

-- Who changed a task, when, and what: written in the transaction of the change.
CREATE TABLE task_revisions (
    task_id                 INTEGER NOT NULL REFERENCES tasks (id),
    revision                INTEGER NOT NULL,
    at                      INTEGER NOT NULL,
    actor                   TEXT    NOT NULL,             -- face and name, such as cli:root
    changes                 TEXT    NOT NULL,             -- JSON: {field: [old, new]}, without secrets
    PRIMARY KEY (task_id, revision)
) WITHOUT ROWID;

-- The words of `overlap`, `catchup` and `on_usage_limit` are the domain's to check.
CREATE TABLE tasks_new (
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
    overlap                 TEXT    NOT NULL,
    catchup                 TEXT    NOT NULL,
    catchup_window_seconds  INTEGER NOT NULL,
    jitter_seconds          INTEGER NOT NULL,
    max_retries             INTEGER NOT NULL,
    max_concurrency         INTEGER,
    on_usage_limit          TEXT,                         -- NULL: as the settings say
    notify_on               TEXT,                         -- NULL: as the settings say
    tags                    TEXT    NOT NULL,
    revision                INTEGER NOT NULL,             -- edits by people
    anchor_at               INTEGER NOT NULL,             -- where @every counts from
    cursor_at               INTEGER NOT NULL,             -- ticks are accounted for up to here
    next_run_at             INTEGER,                      -- NULL: disabled, deleted or spent
    last_run_id             INTEGER,                      -- the last run that really began
    created_at              INTEGER NOT NULL,
    updated_at              INTEGER NOT NULL,
    deleted_at              INTEGER,
    decided_until           INTEGER,                      -- every tick up to here has a row of its own
    CHECK (next_run_at IS NULL OR (enabled = 1 AND deleted_at IS NULL))
);

INSERT INTO tasks_new SELECT
    id, name, prompt, cron_expr, timezone, scheduled_at, working_dir, enabled, model,
    permission_mode, allowed_tools, disallowed_tools, max_turns, max_budget_usd,
    append_system_prompt, extra_args, timeout_seconds, overlap, catchup, catchup_window_seconds,
    jitter_seconds, max_retries, max_concurrency, on_usage_limit, notify_on, tags, revision,
    anchor_at, cursor_at, next_run_at, last_run_id, created_at, updated_at, deleted_at,
    decided_until
FROM tasks;

DROP TABLE tasks;
ALTER TABLE tasks_new RENAME TO tasks;

-- The agenda: the scheduler's timer is the first row of this index.
CREATE INDEX tasks_agenda ON tasks (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX tasks_by_name ON tasks (name) WHERE deleted_at IS NULL;
-- What a clock that was ahead wrote is found by its instant: the furthest is the end of an index.
CREATE INDEX tasks_furthest ON tasks (cursor_at)
WHERE enabled = 1 AND deleted_at IS NULL AND cron_expr <> '';
