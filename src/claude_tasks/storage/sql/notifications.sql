-- name: unannounced
-- Runs that ended and that nobody looked at yet, oldest first; and the last to end before each that
-- says whether its task works. NULLs never match: skips of the owner's own making and cancelled runs
-- say nothing. (The long condition is that of an index, word for word.)
SELECT run.id, run.task_id, run.state, run.reason, task.notify_on,
       {addresses},
       previous.state, previous.reason
FROM outbox
JOIN task_runs AS run ON run.id = outbox.run_id
JOIN tasks AS task ON task.id = run.task_id
LEFT JOIN task_runs AS previous ON previous.id = (
    SELECT earlier.id FROM task_runs AS earlier
    WHERE earlier.task_id = run.task_id
      AND (earlier.ended_at, earlier.id) < (run.ended_at, run.id)
      AND (earlier.state IN ('completed', 'failed') OR (earlier.state = 'skipped'
           AND earlier.reason NOT IN ('overlap', 'disabled', 'deleted', 'rescheduled')))
    ORDER BY earlier.ended_at DESC, earlier.id DESC LIMIT 1
)
ORDER BY outbox.run_id LIMIT :limit

-- name: denials_of
-- What was denied to a run.
SELECT permission_denials FROM task_runs WHERE id = :run_id

-- name: denials_before
-- What was denied to a task before a run: of as many runs as tell all there is to tell. (The last
-- condition is that of an index, word for word.)
SELECT permission_denials FROM task_runs
WHERE task_id = :task_id AND id < :run_id AND permission_denials <> '[]'
ORDER BY id DESC LIMIT 500

-- name: failures_in_a_row
-- How many runs failed up to an instant since the last that completed, as far as is worth counting.
SELECT COUNT(*) FROM (
    SELECT id FROM task_runs
    WHERE task_id = :task_id AND ended_at <= :until
      AND ended_at > COALESCE((
          SELECT ended_at FROM task_runs
          WHERE task_id = :task_id AND ended_at <= :until AND state = 'completed'
            AND (state IN ('completed', 'failed') OR (state = 'skipped'
                 AND reason NOT IN ('overlap', 'disabled', 'deleted', 'rescheduled')))
          ORDER BY ended_at DESC LIMIT 1), -1)
      AND (state IN ('completed', 'failed') OR (state = 'skipped'
           AND reason NOT IN ('overlap', 'disabled', 'deleted', 'rescheduled')))
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
-- What is to be sent now, what is fresh first; of each address only a few, so that one that hangs does
-- not stand before all others.
SELECT id, task_id, run_id, tick, channel, target, event, attempts FROM (
    SELECT id, task_id, run_id, tick, channel, target, event, attempts, next_attempt_at,
           ROW_NUMBER() OVER (PARTITION BY channel, target ORDER BY next_attempt_at, id) AS place
    FROM deliveries
    WHERE state = 'pending' AND (next_attempt_at <= :at OR next_attempt_at > :furthest)
) AS due
WHERE place <= :of_one_address ORDER BY place, attempts, next_attempt_at, id LIMIT :limit

-- name: begin_delivery
-- An attempt begins: whoever dies in it is followed by another, but only after a while.
UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = :until
WHERE id = :id AND state = 'pending' AND attempts = :attempts

-- name: end_delivery
-- It was sent, given up, or is to be tried again.
UPDATE deliveries SET state = :state, next_attempt_at = :next_attempt_at, error = :error,
    ended_at = CASE WHEN :state = 'pending' THEN NULL ELSE :at END
WHERE id = :id AND state = 'pending' AND attempts = :attempts

-- name: deliveries_of
-- The messages about a run.
SELECT {columns} FROM deliveries JOIN tasks ON tasks.id = deliveries.task_id
WHERE deliveries.run_id = :run_id ORDER BY deliveries.id

-- name: list_deliveries
-- The newest messages.
SELECT {columns} FROM deliveries JOIN tasks ON tasks.id = deliveries.task_id
WHERE :task_id IS NULL OR deliveries.task_id = :task_id
ORDER BY deliveries.id DESC LIMIT :limit

-- name: count_deliveries
-- How many wait, and how many came to their end lately.
SELECT COALESCE(SUM(CASE WHEN state = 'pending' THEN 1 ELSE 0 END), 0),
       COALESCE(SUM(CASE WHEN state = 'sent' THEN 1 ELSE 0 END), 0),
       COALESCE(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0)
FROM deliveries WHERE state = 'pending' OR ended_at >= :since

-- name: stalled_channels
-- Addresses whose messages wait and that took none since the oldest of them was made: the channel, how
-- many wait, and why by the newest that was tried.
WITH waits AS (
    SELECT channel, target, COUNT(*) AS messages, MIN(created_at) AS since
    FROM deliveries WHERE state = 'pending' GROUP BY channel, target
)
SELECT channel, messages, (
    SELECT error FROM deliveries AS tried
    WHERE tried.state = 'pending' AND tried.channel = waits.channel AND tried.target = waits.target
      AND tried.error IS NOT NULL ORDER BY tried.id DESC LIMIT 1
) AS why
FROM waits WHERE why IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM deliveries AS sent
    WHERE sent.state = 'sent' AND sent.channel = waits.channel AND sent.target = waits.target
      AND sent.ended_at >= waits.since
)

-- name: overdue_tasks
-- Tasks whose tick nobody took in time, or took and left in the queue without a reason of its own.
SELECT id, name, next_run_at FROM tasks
WHERE next_run_at <= :before
UNION ALL
SELECT run.task_id, tasks.name, COALESCE(run.scheduled_for, run.covers) FROM task_runs AS run
JOIN tasks ON tasks.id = run.task_id
WHERE run.state = 'queued' AND COALESCE(run.scheduled_for, run.covers) <= :before AND run.not_before <= :before
  AND run.queued_at <= :before
  AND NOT EXISTS (SELECT 1 FROM task_runs AS other
                  WHERE other.task_id = run.task_id AND other.state = 'running')
ORDER BY 3 LIMIT :limit
