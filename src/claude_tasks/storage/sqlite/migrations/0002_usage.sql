-- What all processes know of the agent's usage windows, and what tasks say about reaching them.

CREATE TABLE usage_snapshot (
    id                      INTEGER PRIMARY KEY CHECK (id = 1),
    windows                 TEXT,                         -- JSON: {name: [percent, resets_at]}
    source                  TEXT,
    read_at                 INTEGER,
    failure_code            TEXT,
    failure                 TEXT,
    failed_at               INTEGER,
    retry_at                INTEGER,
    failures                INTEGER NOT NULL DEFAULT 0,   -- in a row
    asking_node             TEXT,                         -- one asks for all
    asking_until            INTEGER
);

INSERT INTO usage_snapshot (id) VALUES (1);

-- NULL: as the settings say. Until now nothing acted on it, so only 'defer' was said on purpose.
ALTER TABLE tasks ADD COLUMN usage_rule TEXT CHECK (usage_rule IN ('skip', 'defer'));
UPDATE tasks SET usage_rule = 'defer' WHERE on_usage_limit = 'defer';
ALTER TABLE tasks DROP COLUMN on_usage_limit;
ALTER TABLE tasks RENAME COLUMN usage_rule TO on_usage_limit;

-- How often a run went on in its session after the usage limit had ended it.
ALTER TABLE task_runs ADD COLUMN resumes INTEGER NOT NULL DEFAULT 0;
