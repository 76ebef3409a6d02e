-- name: insert_task
-- A new task with its first tick.
INSERT INTO tasks (
    {names},
    revision, anchor_at, cursor_at, next_run_at, created_at, updated_at
) VALUES (
    {values},
    1, :anchor_at, :cursor_at, :next_run_at, :at, :at
)

-- name: set_address
-- Where messages about a task go through one channel.
INSERT INTO task_addresses (task_id, channel, address) VALUES (:task_id, :channel, :address)
ON CONFLICT (task_id, channel) DO UPDATE SET address = :address

-- name: clear_address
-- They go where the settings say.
DELETE FROM task_addresses WHERE task_id = :task_id AND channel = :channel

-- name: record_revision
-- Who made a revision, and what it changed.
INSERT INTO task_revisions (task_id, revision, at, actor, changes)
VALUES (:task_id, :revision, :at, :actor, :changes)

-- name: task_revisions
-- The revisions of a task, newest first.
SELECT revision, at, actor, changes FROM task_revisions
WHERE task_id = :task_id ORDER BY revision DESC LIMIT :limit

-- name: get_task
-- One task, deleted or not.
SELECT {task_columns} FROM tasks t WHERE t.id = :task_id

-- name: addresses
-- A task's own, by channel, as JSON, which knows no blob: the statement would fail for all tasks.
(SELECT json_group_object(CAST(a.channel AS TEXT),
        CASE WHEN typeof(a.address) = 'text' THEN a.address END)
 FROM task_addresses a WHERE a.task_id = {task_id})

-- name: get_task_of_run
-- The task of a run.
SELECT {task_columns} FROM tasks t WHERE t.id = (SELECT task_id FROM task_runs WHERE id = :run_id)

-- name: bytes_of
-- One column of a task as it is stored.
SELECT CAST({column} AS BLOB) FROM tasks WHERE id = :task_id

-- name: find_tasks
-- Live tasks of one name, oldest first.
SELECT {task_columns} FROM tasks t WHERE t.name = :name AND t.deleted_at IS NULL ORDER BY t.id

-- name: list_tasks
-- Every task with the run it last began, newest first; a limit of -1 is none.
SELECT {task_columns}, r.started_at, r.state, r.reason, waiting.deferred_until
FROM tasks t LEFT JOIN task_runs r ON r.id = t.last_run_id
LEFT JOIN (SELECT task_id, MIN(deferred_until) AS deferred_until FROM task_runs
           WHERE state IN ('queued', 'running') AND state = 'queued' GROUP BY task_id) AS waiting
       ON waiting.task_id = t.id
WHERE :include_deleted = 1 OR t.deleted_at IS NULL
ORDER BY t.id DESC LIMIT :limit

-- name: count_tasks
-- How many live tasks are enabled, and how many are not.
SELECT COALESCE(SUM(enabled), 0), COALESCE(SUM(1 - enabled), 0) FROM tasks
WHERE deleted_at IS NULL

-- name: edit_task
-- Columns a person changed, if the task still stands where the person read it.
UPDATE tasks SET {assignments}revision = revision + 1, updated_at = :at
WHERE id = :task_id AND revision = :expected_revision AND cursor_at = :expected_cursor_at
  AND (next_run_at = :expected_next_run_at
       OR (next_run_at IS NULL AND :expected_next_run_at IS NULL))

-- name: remove_illegible
-- Of a row that somebody else wrote nothing counts, also not its revision.
UPDATE tasks SET deleted_at = :at, next_run_at = NULL, updated_at = :at, revision = 1 + (
    SELECT COALESCE(MAX(revision), 0) FROM task_revisions WHERE task_id = :task_id)
WHERE id = :task_id AND deleted_at IS NULL
RETURNING revision

-- name: tick_is_taken
-- Whether a tick of a task has its row already.
SELECT 1 FROM task_runs WHERE task_id = :task_id AND scheduled_for = :scheduled_for

-- name: has_queued
-- Whether a tick of a task still waits.
SELECT 1 FROM task_runs
WHERE task_id = :task_id AND state IN ('queued', 'running') AND state = 'queued'
  AND trigger <> 'manual' LIMIT 1

-- name: drop_queued
-- End the queued runs of a task whose owner took them away: those asked for by hand stay, unless
-- the task itself goes. One that waits for another attempt did begin: it is cancelled, not skipped.
UPDATE task_runs SET reason = :reason, ended_at = :at,
    state = CASE WHEN attempt > 1 THEN 'cancelled' ELSE :state END,
    error = CASE WHEN attempt > 1 THEN COALESCE(error || '; ', '') || 'no further attempt: ' ELSE '' END
            || :error
WHERE task_id = :task_id AND state IN ('queued', 'running') AND state = 'queued'
  AND (trigger <> 'manual' OR :reason = 'deleted')
RETURNING id
