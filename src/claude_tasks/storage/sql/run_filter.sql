-- name: of_task
-- The runs of one task.
r.task_id = :task_id

-- name: in_states
-- The runs that stand in one of these states.
r.state IN ({names})

-- name: for_reasons
-- The runs that ended, or were skipped, for one of these reasons.
r.reason IN ({names})

-- name: before
-- The page behind a run.
r.id < :before_id

-- name: since
-- The runs that began then or later; one that has not begun counts from when it was queued.
COALESCE(r.started_at, r.queued_at) >= :since

-- name: until
-- The runs that began earlier.
COALESCE(r.started_at, r.queued_at) < :until

-- name: says
-- The runs that say it, whatever the case, in the output or the error.
(instr(lower(r.output), lower(:text)) > 0
 OR instr(lower(COALESCE(r.error, '')), lower(:text)) > 0)
