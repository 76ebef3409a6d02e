-- name: insert_task
-- A new task with its first tick.
INSERT INTO tasks (
    name, prompt, cron_expr, timezone, scheduled_at, working_dir, enabled, model, permission_mode,
    allowed_tools, disallowed_tools, max_turns, max_budget_usd, append_system_prompt, extra_args,
    timeout_seconds, overlap, catchup, catchup_window_seconds, jitter_seconds, max_retries,
    max_concurrency, on_usage_limit, notify_on, tags, discord_webhook, slack_webhook,
    webhook_url, apprise_url,
    revision, anchor_at, cursor_at, next_run_at, created_at, updated_at
) VALUES (
    :name, :prompt, :cron_expr, :timezone, :scheduled_at, :working_dir, :enabled, :model,
    :permission_mode, :allowed_tools, :disallowed_tools, :max_turns, :max_budget_usd,
    :append_system_prompt, :extra_args, :timeout_seconds, :overlap, :catchup,
    :catchup_window_seconds, :jitter_seconds, :max_retries, :max_concurrency, :on_usage_limit,
    :notify_on, :tags, :discord_webhook, :slack_webhook, :webhook_url, :apprise_url,
    1, :anchor_at, :cursor_at, :next_run_at, :at, :at
)

-- name: task_columns
-- The columns of a task in the order of its record.
t.id, t.name, t.prompt, t.cron_expr, t.timezone, t.scheduled_at, t.working_dir, t.enabled, t.model,
t.permission_mode, t.allowed_tools, t.disallowed_tools, t.max_turns, t.max_budget_usd,
t.append_system_prompt, t.extra_args, t.timeout_seconds, t.overlap, t.catchup,
t.catchup_window_seconds, t.jitter_seconds, t.max_retries, t.max_concurrency, t.on_usage_limit,
t.notify_on, t.tags, t.discord_webhook, t.slack_webhook, t.webhook_url, t.apprise_url, t.revision, t.anchor_at, t.cursor_at,
t.next_run_at, t.last_run_id, t.created_at, t.updated_at, t.deleted_at, t.decided_until

-- name: get_task
-- One task, deleted or not.
SELECT {task_columns} FROM tasks t WHERE t.id = :task_id

-- name: get_task_of_run
-- The task of a run.
SELECT {task_columns} FROM tasks t WHERE t.id = (SELECT task_id FROM task_runs WHERE id = :run_id)

-- name: find_tasks
-- Live tasks of one name, oldest first.
SELECT {task_columns} FROM tasks t WHERE t.name = :name AND t.deleted_at IS NULL ORDER BY t.id

-- name: list_tasks
-- Every task with the run it last began, newest first.
SELECT {task_columns}, r.started_at, r.state, r.reason, waiting.deferred_until
FROM tasks t LEFT JOIN task_runs r ON r.id = t.last_run_id
LEFT JOIN (SELECT task_id, MIN(deferred_until) AS deferred_until FROM task_runs
           WHERE state IN ('queued', 'running') AND state = 'queued' GROUP BY task_id) AS waiting
       ON waiting.task_id = t.id
WHERE :include_deleted = 1 OR t.deleted_at IS NULL
ORDER BY t.id DESC

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
