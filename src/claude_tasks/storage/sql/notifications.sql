-- name: unannounced
-- Runs that ended and that nobody looked at yet, oldest first.
SELECT run_id FROM outbox ORDER BY run_id LIMIT :limit

-- name: run_before
-- The last run before one that says whether the task works. NULLs never match: skips of the owner's
-- own making and cancelled runs say nothing.
SELECT state, reason FROM task_runs
WHERE task_id = :task_id AND id < :run_id
  AND (state IN ('completed', 'failed') OR (state = 'skipped' AND reason NOT IN
       ('overlap', 'disabled', 'deleted', 'rescheduled')))
ORDER BY id DESC LIMIT 1

-- name: failures_in_a_row
-- How many runs up to one failed since the last that completed, as far as is worth counting.
SELECT COUNT(*) FROM (
    SELECT id FROM task_runs
    WHERE task_id = :task_id AND id <= :until
      AND id > COALESCE((SELECT MAX(id) FROM task_runs
                         WHERE task_id = :task_id AND id <= :until AND state = 'completed'), 0)
      AND (state = 'failed' OR (state = 'skipped' AND reason NOT IN
           ('overlap', 'disabled', 'deleted', 'rescheduled')))
    LIMIT 1000
)

-- name: forget_announced
-- It was looked at.
DELETE FROM outbox WHERE run_id = :run_id

-- name: add_delivery
-- One message to one address; never two for one run.
INSERT INTO deliveries (task_id, run_id, tick, channel, target, event, state, attempts,
                        next_attempt_at, created_at)
VALUES (:task_id, :run_id, :tick, :channel, :target, :event, 'pending', 0, :at, :at)
ON CONFLICT DO NOTHING

-- name: due_deliveries
-- What is to be sent now, oldest first.
SELECT id, task_id, run_id, tick, channel, target, event, attempts FROM deliveries
WHERE state = 'pending' AND next_attempt_at <= :at ORDER BY next_attempt_at LIMIT :limit

-- name: begin_delivery
-- An attempt begins: whoever dies in it is followed by another, but only after a while.
UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = :until
WHERE id = :id AND state = 'pending' AND attempts = :attempts

-- name: end_delivery
-- It was sent, given up, or is to be tried again.
UPDATE deliveries SET state = :state, next_attempt_at = :next_attempt_at, error = :error,
    ended_at = CASE WHEN :state = 'pending' THEN NULL ELSE :at END
WHERE id = :id AND state = 'pending'

-- name: deliveries_of
-- The messages about a run.
SELECT channel, event, state, attempts, next_attempt_at, ended_at, error FROM deliveries
WHERE run_id = :run_id ORDER BY id

-- name: overdue_tasks
-- Tasks whose tick nobody took in time.
SELECT id, name, next_run_at FROM tasks
WHERE next_run_at <= :before ORDER BY next_run_at LIMIT :limit
