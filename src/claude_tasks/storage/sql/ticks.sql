-- name: due_tasks
-- Tasks with a tick to take; the latest first, so that a backlog never delays what is due now.
SELECT {task_columns} FROM tasks t
WHERE t.next_run_at <= :at
ORDER BY t.next_run_at DESC LIMIT :limit

-- name: park_illegible
-- A task whose row makes no sense fires no more until somebody mends it.
UPDATE tasks SET next_run_at = NULL WHERE id = :task_id AND next_run_at = :tick

-- name: skip_illegible
-- The tick that found it so.
INSERT INTO task_runs (
    task_id, trigger, scheduled_for, state, reason, error, attempt, claim, lease_epoch, not_before,
    queued_at, ended_at, skipped_count
) VALUES (:task_id, 'schedule', :tick, 'skipped', 'invalid_schedule', :error, 1, 0, :epoch, 0, :at,
    :at, 1)
ON CONFLICT (task_id, scheduled_for) DO NOTHING

-- name: parked_tasks
-- Switched on, and without a next tick: what made no sense of them may make some by now.
SELECT {task_columns} FROM tasks t
WHERE t.id > :after AND t.enabled = 1 AND t.deleted_at IS NULL AND t.next_run_at IS NULL
  AND t.cron_expr <> ''
ORDER BY t.id LIMIT :limit

-- name: resume_task
-- It fires again from now on, if nobody edited it since.
UPDATE tasks SET next_run_at = :next_run_at, cursor_at = MAX(cursor_at, :at)
WHERE id = :task_id AND revision = :revision AND next_run_at IS NULL AND enabled = 1

-- name: next_tick_at
-- The head of the agenda. A text there is greater than any number: the bound leaves it out.
SELECT MIN(next_run_at) FROM tasks WHERE next_run_at <= 9223372036854775807

-- name: next_ticks
-- The agenda from its head, as far as it is one.
SELECT id, name, next_run_at FROM tasks WHERE next_run_at <= 9223372036854775807
ORDER BY next_run_at, id LIMIT :limit

-- name: term_stands
-- Whether the caller is still the leader: read inside the transaction that acts on it.
SELECT 1 FROM scheduler_leases WHERE name = 'scheduler' AND holder = :node_id AND epoch = :epoch

-- name: advance_cursor
-- Take a task's due ticks, if nobody edited it since the plan was made. A one-off is spent.
UPDATE tasks SET cursor_at = :cursor_at, next_run_at = :next_run_at,
    enabled = CASE WHEN cron_expr = '' THEN 0 ELSE enabled END
WHERE id = :task_id AND revision = :revision AND next_run_at = :due_at

-- name: count_active
-- How many runs of a task are queued or running.
SELECT COUNT(*) FROM task_runs WHERE task_id = :task_id AND state IN ('queued', 'running')

-- name: insert_run
-- One row for one tick; a tick that has its row keeps it, and one given again is given once.
INSERT INTO task_runs (
    task_id, trigger, scheduled_for, state, reason, error, attempt, claim, lease_epoch, assigned_to,
    not_before, queued_at, ended_at, skipped_count, skipped_until, covers
) VALUES (
    :task_id, :trigger, :scheduled_for, :state, :reason, :error, 1, 0, :epoch, :assigned_to,
    :not_before, :at, :ended_at, :skipped_count, :skipped_until, :covers
)
ON CONFLICT DO NOTHING
RETURNING id

-- name: cancel_running_for_next
-- `cancel_other`: ask the running runs of a task to make way.
UPDATE task_runs SET cancel_requested_at = :at, cancel_reason = 'cancelled_by_next'
WHERE task_id = :task_id AND state IN ('queued', 'running') AND state = 'running'
  AND cancel_requested_at IS NULL AND id <> :keep

-- name: cancel_queued_for_next
-- `cancel_other`: drop the runs of a task that have not begun.
UPDATE task_runs SET state = 'cancelled', reason = 'cancelled_by_next', ended_at = :at,
    error = 'a later tick took its place'
WHERE task_id = :task_id AND state IN ('queued', 'running') AND state = 'queued' AND id <> :keep
RETURNING id
