-- name: failing_always
-- Enabled tasks whose last runs, so many of them, all failed. Skips and cancellations do not count.
SELECT t.id, t.name FROM tasks t
WHERE t.deleted_at IS NULL AND t.enabled = 1
  AND (SELECT COUNT(*) FROM (
         SELECT state FROM task_runs r
         WHERE r.task_id = t.id AND r.state IN ('completed', 'failed')
         ORDER BY r.id DESC LIMIT :last
       ) WHERE state = 'failed') = :last
ORDER BY t.id

-- name: lost_since
-- Runs of which nobody saw the end, among the latest failures.
SELECT id, task_name FROM (
  SELECT r.id, r.reason, r.ended_at, t.name AS task_name
  FROM task_runs r JOIN tasks t ON t.id = r.task_id
  WHERE r.state = 'failed' ORDER BY r.id DESC LIMIT 1000
) WHERE reason = 'lost' AND ended_at >= :since
