-- name: furthest_instant
-- The furthest instant that anybody wrote and that something may wait for: the ends of two indexes.
-- A text in that column is greater than any number: the bound leaves it out.
SELECT MAX(
    COALESCE((SELECT MAX(cursor_at) FROM tasks
              WHERE enabled = 1 AND deleted_at IS NULL AND cron_expr <> ''
                AND cursor_at <= 9223372036854775807), 0),
    COALESCE((SELECT MAX(at) FROM changes), 0)
)

-- name: tasks_ahead
-- Tasks whose cursor lies in the future, the furthest first, each with the earliest tick up to now
-- that was only counted since the last step, and the last that has a row of its own before one that
-- was only counted. Both look at a bounded number of rows: what lies beyond is counted twice at worst.
SELECT {task_columns}, (
    SELECT MIN(near.tick) FROM (
        SELECT * FROM (SELECT id, reason, queued_at, scheduled_for AS tick FROM task_runs
                       WHERE task_id = t.id AND scheduled_for <= :at
                       ORDER BY scheduled_for DESC LIMIT 200)
        UNION ALL
        SELECT * FROM (SELECT id, reason, queued_at, covers FROM task_runs
                       WHERE task_id = t.id AND covers IS NOT NULL AND covers <= :at
                       ORDER BY covers DESC LIMIT 200)
    ) AS near
    WHERE near.reason = 'missed' AND near.queued_at > :beyond
      AND near.id > COALESCE((SELECT MAX(last_run_id) FROM clock_steps), 0)
), (
    SELECT COALESCE(MIN(CASE WHEN far.until > :at THEN MAX(far.tick - 1, :at) END), MAX(far.tick))
    FROM (
        SELECT * FROM (SELECT scheduled_for AS tick, skipped_until AS until FROM task_runs
                       WHERE task_id = t.id AND scheduled_for <= :at
                       ORDER BY scheduled_for DESC LIMIT 1)
        UNION ALL
        SELECT * FROM (SELECT scheduled_for, skipped_until FROM task_runs
                       WHERE task_id = t.id AND scheduled_for > :at
                       ORDER BY scheduled_for LIMIT 200)
        UNION ALL
        SELECT covers, skipped_until FROM task_runs
        WHERE task_id = t.id AND covers IS NOT NULL AND skipped_until > :at
    ) AS far
)
FROM tasks t
WHERE t.enabled = 1 AND t.deleted_at IS NULL AND t.cron_expr <> '' AND t.cursor_at > :beyond
  AND t.cursor_at <= 9223372036854775807
ORDER BY t.cursor_at DESC LIMIT :limit

-- name: record_step
-- The only reason for a cursor to go back.
INSERT INTO clock_steps (seen_at, back_ms, node_id, epoch, last_run_id)
SELECT :at, :back_ms, :node_id, :epoch, COALESCE(MAX(id), 0) FROM task_runs

-- name: record_step_of_edit
-- The same, where a person was faster than a leader.
INSERT INTO clock_steps (seen_at, back_ms, node_id, epoch, last_run_id)
SELECT :at, :back_ms, 'edit', (SELECT epoch FROM scheduler_leases WHERE name = 'scheduler'),
       COALESCE(MAX(id), 0) FROM task_runs

-- name: set_back
-- One cursor, if nobody edited the task since it was looked at.
UPDATE tasks SET anchor_at = :anchor_at, cursor_at = :cursor_at, next_run_at = :next_run_at,
    decided_until = :decided_until
WHERE id = :task_id AND revision = :revision AND cursor_at = :expected_cursor_at

-- name: fire_now
-- One-offs that were to run at once when the clock was ahead, and still are: see `Task.runs_at_once`.
UPDATE tasks SET scheduled_at = :at, anchor_at = :at, cursor_at = :at - 1, next_run_at = :at,
    revision = revision + 1, updated_at = :at
WHERE next_run_at > :beyond AND cron_expr = '' AND cursor_at > :beyond
  AND scheduled_at IN (anchor_at, created_at) AND next_run_at = scheduled_at
RETURNING id

-- name: rearm_now
-- One-offs whose run did not get as far as its agent, and that were to be tried again some time later.
UPDATE tasks SET next_run_at = MAX(:at, scheduled_at + 1)
WHERE next_run_at > :beyond AND cron_expr = '' AND next_run_at > scheduled_at + 1
RETURNING id

-- name: future_changes
-- When each queued run that waits was last written, where that is in the future.
SELECT ref, MAX(at) FROM changes WHERE at > :beyond AND topic = 'run' GROUP BY ref

-- name: waiting_beyond
-- Queued runs that wait, or were queued, in the future.
SELECT id, not_before, queued_at FROM task_runs
WHERE state = 'queued' AND (not_before > :beyond OR queued_at > :beyond)

-- name: wait_from_now
-- The same wait, counted from the true now.
UPDATE task_runs SET not_before = :not_before, queued_at = MIN(queued_at, :at)
WHERE id = :run_id AND state = 'queued'

-- name: send_now
-- Messages that were put off until a false time. One attempt more than their back-off wanted at worst.
UPDATE deliveries SET next_attempt_at = :at WHERE state = 'pending' AND next_attempt_at > :beyond

-- name: correct_changes
-- The feed says when somebody wrote: settled now, so that nobody settles it again.
UPDATE changes SET at = :at WHERE at > :beyond

-- name: horizon
-- How far a clock that was ahead has ever come, when it was last set back, and what was written before.
SELECT MAX(seen_at + back_ms), MAX(seen_at), MAX(last_run_id) FROM clock_steps

-- name: row_of_tick
-- The row that a tick has of its own: its end, where it stands for more than one, and its number.
SELECT id, skipped_until FROM task_runs WHERE task_id = :task_id AND scheduled_for = :tick

-- name: row_before
-- The last row at or before a tick: if any counts it, it is this one.
SELECT id, skipped_until FROM task_runs WHERE task_id = :task_id AND scheduled_for <= :tick
ORDER BY scheduled_for DESC LIMIT 1

-- name: is_given_again
-- Whether a tick was given again already.
SELECT 1 FROM task_runs
WHERE task_id = :task_id AND covers = :tick AND trigger = 'clock_set' AND skipped_until IS NULL

-- name: last_step
-- The newest step.
SELECT seen_at, back_ms FROM clock_steps ORDER BY id DESC LIMIT 1

-- name: left_by_clock
-- Recurring tasks that wait for the future; one-offs that were given their time there, or were only
-- skipped as missed there.
SELECT id, name, 'stuck', cursor_at FROM tasks
WHERE enabled = 1 AND deleted_at IS NULL AND cron_expr <> '' AND cursor_at > :beyond
  AND cursor_at <= 9223372036854775807 AND (:task_id IS NULL OR id = :task_id)
UNION ALL
SELECT id, name, 'doubtful', anchor_at FROM tasks
WHERE next_run_at > :beyond AND cron_expr = '' AND anchor_at > :beyond
  AND anchor_at <= 9223372036854775807 AND (:task_id IS NULL OR id = :task_id)
UNION ALL
SELECT t.id, t.name, 'missed', t.scheduled_at FROM tasks t
JOIN task_runs r ON r.task_id = t.id AND r.scheduled_for = t.scheduled_at
WHERE t.cron_expr = '' AND t.deleted_at IS NULL AND t.next_run_at IS NULL
  AND t.scheduled_at > :beyond AND t.scheduled_at <= 9223372036854775807 AND r.state = 'skipped' AND r.reason = 'missed'
  AND (:task_id IS NULL OR t.id = :task_id)
ORDER BY 1
