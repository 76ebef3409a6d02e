-- name: run_columns
-- The columns of a run in the order of its record.
r.id, r.task_id, CAST(t.name AS TEXT), r.trigger, r.scheduled_for, r.state, r.reason, r.attempt, r.claim,
r.claimed_by, r.lease_epoch, r.assigned_to, r.not_before, r.queued_at, r.started_at, r.ended_at,
r.cancel_requested_at, r.cancel_reason, r.exit_code, r.output, r.error, r.session_id, r.model,
r.cost_usd, r.input_tokens, r.output_tokens, r.cache_read_tokens, r.cache_creation_tokens,
r.num_turns, r.permission_denials, r.skipped_count, r.skipped_until, r.log_path,
r.resumes, r.deferred_until, r.resume_of, r.unreachable_since, r.covers, r.retries, r.launched_by

-- name: get_run
-- One run.
SELECT {run_columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id WHERE r.id = :run_id

-- name: list_runs
-- A page of runs, newest first.
SELECT {run_columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id
WHERE {conditions}
ORDER BY r.id DESC LIMIT :limit

-- name: count_runs
-- How many runs match, at most so many (-1: all).
SELECT COUNT(*) FROM (SELECT 1 FROM task_runs r WHERE {conditions} LIMIT :most)

-- name: fact_columns
-- The columns of a run's facts in the order of their record.
id, trigger, state, reason, COALESCE(scheduled_for, covers), queued_at, started_at, ended_at, attempt, cost_usd,
input_tokens, output_tokens, skipped_count, claim

-- name: startable
-- Queued runs this node may start, of its own, of the common queue, or of both: at most as many of
-- each task as its limit leaves room for, with that room; or all of those tasks that have any. Oldest
-- first, whatever a run had to wait for: jitter and retries must not starve behind plain ticks. A run
-- that seems to wait for usage, or for its next attempt, longer than any does was told so before the
-- clock was set back. One whose time is no number (a text is greater than any) is taken, and then
-- found illegible: else it would wait for ever, and its task with it.
WITH busy AS (
    SELECT task_id, COUNT(*) AS running FROM task_runs WHERE state = 'running' GROUP BY task_id
), waiting AS (
    SELECT r.id, r.task_id, ROW_NUMBER() OVER (PARTITION BY r.task_id ORDER BY r.id) AS place
    FROM task_runs r
    WHERE r.state = 'queued' AND (r.not_before <= :at OR r.not_before > 9223372036854775807
             OR ((r.reason = 'usage_threshold' OR (r.reason IS NULL AND r.attempt > 1))
                 AND r.not_before > :furthest))
      AND ((:own = 1 AND r.assigned_to = :node_id) OR (:common = 1 AND r.assigned_to IS NULL))
), placed AS (
    SELECT w.id, w.task_id, w.place,
           CASE t.overlap WHEN 'allow' THEN COALESCE(t.max_concurrency, 1000000)
                          ELSE COALESCE(t.max_concurrency, 1) END
           - COALESCE(b.running, 0) AS room
    FROM waiting w JOIN tasks t ON t.id = w.task_id LEFT JOIN busy b ON b.task_id = w.task_id
    WHERE t.deleted_at IS NULL
)
SELECT id, task_id, room FROM placed
WHERE place <= room OR (:all = 1 AND room > 0) ORDER BY id LIMIT :limit

-- name: claim_run
-- queued -> running, by exactly one node.
-- What was said of its waiting is over. Its session is known before its agent is started: the one it
-- goes on in, or a new one; none where the task names its own, or where no agent will be started.
UPDATE task_runs SET state = 'running', claim = claim + 1, claimed_by = :node_id,
    launched_by = :node_id,
    lease_epoch = :epoch, started_at = :at, reason = NULL, deferred_until = NULL,
    session_id = CASE WHEN :begins THEN COALESCE(resume_of, :session_id) ELSE session_id END,
    error = CASE WHEN reason = 'usage_threshold' THEN NULL ELSE error END
WHERE id = :run_id AND state = 'queued'

-- name: set_right
-- Cells that made no sense.
UPDATE task_runs SET {assignments} WHERE id = :run_id

-- name: fail_illegible
-- running -> failed: nobody can say what it was to do.
UPDATE task_runs SET state = 'failed', reason = :reason, error = :error, ended_at = :at
WHERE id = :run_id AND state = 'running'

-- name: extra_args_of
-- A task's own words for the agent, by its run.
SELECT t.extra_args FROM task_runs r JOIN tasks t ON t.id = r.task_id WHERE r.id = :run_id

-- name: usage_rule
-- What a run does when usage stands in its way. A one-off must not be used up by it, nor must what
-- has begun be dropped, unless somebody asked for that.
SELECT COALESCE(t.on_usage_limit,
                CASE WHEN t.cron_expr = '' AND r.trigger <> 'manual' THEN 'defer' ELSE :rule END),
       r.attempt
FROM task_runs r JOIN tasks t ON t.id = r.task_id WHERE r.id = :run_id

-- name: skip_for_usage
-- queued -> skipped.
UPDATE task_runs SET state = 'skipped', reason = 'usage_threshold', error = :text, ended_at = :at,
    skipped_count = 1
WHERE id = :run_id AND state = 'queued'

-- name: defer_for_usage
-- It waits for the reset, and says so; it is looked at again before, for usage may fall.
UPDATE task_runs SET not_before = :look_at, deferred_until = :until, reason = 'usage_threshold',
    error = :text, unreachable_since = NULL
WHERE id = :run_id AND state = 'queued'

-- name: postpone_deferred
-- Nobody can say now whether it may start; it was told to wait, and not for too long yet.
UPDATE task_runs SET not_before = :look_at, error = :text
WHERE id = :run_id AND state = 'queued' AND deferred_until > :since

-- name: postpone_unreachable
-- The network is away, and has not been for too long yet: it is looked at again.
UPDATE task_runs SET not_before = :look_at, error = :text,
    unreachable_since = COALESCE(unreachable_since, :at)
WHERE id = :run_id AND state = 'queued'
  AND (unreachable_since IS NULL OR unreachable_since > :at OR unreachable_since > :since)

-- name: has_deferred
-- Whether any run waits for usage that need not any more.
SELECT 1 FROM task_runs
WHERE state = 'queued' AND reason = 'usage_threshold' AND not_before > :at
  AND (:task_id IS NULL OR task_id = :task_id) LIMIT 1

-- name: reconsider_deferred
-- What waits for usage is looked at again now.
UPDATE task_runs SET not_before = :at
WHERE state = 'queued' AND reason = 'usage_threshold' AND not_before > :at
  AND (:task_id IS NULL OR task_id = :task_id)
RETURNING id

-- name: rearm_one_off
-- A one-off whose run never got as far as its agent: it gets another tick. Its own time stays.
UPDATE tasks SET enabled = 1, cursor_at = scheduled_at - 1, next_run_at = :rearm_at
WHERE id = (SELECT task_id FROM task_runs WHERE id = :run_id)
  AND cron_expr = '' AND enabled = 0 AND deleted_at IS NULL AND next_run_at IS NULL

-- name: mark_last_run
-- The run a task last began.
UPDATE tasks SET last_run_id = :run_id
WHERE id = (SELECT task_id FROM task_runs WHERE id = :run_id)

-- name: count_running
-- How many runs are running: everywhere, or those of one node.
SELECT COUNT(*) FROM task_runs
WHERE state = 'running' AND (:node_id IS NULL OR claimed_by = :node_id)

-- name: count_own_running
-- How many of the runs meant for a node alone it is running.
SELECT COUNT(*) FROM task_runs
WHERE state = 'running' AND assigned_to = :node_id AND claimed_by = :node_id

-- name: count_waiting
-- How many queued runs wait for one node.
SELECT COUNT(*) FROM task_runs WHERE state = 'queued' AND assigned_to = :node_id

-- name: next_start_at
-- When the next queued run of this node may start, if that is still to come and is a time at all.
SELECT MIN(not_before) FROM task_runs
WHERE state = 'queued' AND not_before > :after AND not_before <= 9223372036854775807
  AND (assigned_to = :node_id OR (:leading = 1 AND assigned_to IS NULL))

-- name: finish_run
-- running -> terminal, by the claim that ran it.
UPDATE task_runs SET state = :state, reason = :reason, started_at = COALESCE(:started_at, started_at),
    ended_at = :ended_at, exit_code = :exit_code, output = :output, error = :error,
    session_id = CASE WHEN :reason = 'spawn' THEN :session_id ELSE COALESCE(:session_id, session_id) END,
    unreachable_since = CASE WHEN :unreachable THEN COALESCE(unreachable_since, :ended_at) END, model = :model, cost_usd = :cost_usd, input_tokens = :input_tokens,
    output_tokens = :output_tokens, cache_read_tokens = :cache_read_tokens,
    cache_creation_tokens = :cache_creation_tokens, num_turns = :num_turns,
    permission_denials = :permission_denials, log_path = :log_path
WHERE id = :run_id AND claim = :claim AND state = 'running'

-- name: requeue_unstarted
-- running -> queued: the agent was never started.
UPDATE task_runs SET state = 'queued', attempt = :attempt, not_before = :not_before,
    claimed_by = NULL, started_at = NULL, session_id = resume_of
WHERE id = :run_id AND claim = :claim AND state = 'running'

-- name: requeue_run
-- running -> queued, for another attempt; what the earlier ones cost stays on the row. It goes on in
-- its session after a usage limit, and in no session that is gone.
UPDATE task_runs SET state = 'queued', attempt = :attempt, not_before = :not_before, error = :error,
    claimed_by = NULL, started_at = NULL, session_id = COALESCE(:session_id, session_id),
    resume_of = CASE WHEN :resumes THEN :session_id WHEN :anew THEN NULL ELSE resume_of END,
    retries = retries + :retries, unreachable_since = :unreachable_since, model = :model,
    cost_usd = :cost_usd, input_tokens = :input_tokens, output_tokens = :output_tokens,
    cache_read_tokens = :cache_read_tokens, cache_creation_tokens = :cache_creation_tokens,
    num_turns = :num_turns, resumes = resumes + :resumes, reason = :waits_for,
    deferred_until = CASE WHEN :waits_for IS NULL THEN NULL ELSE :not_before END
WHERE id = :run_id AND claim = :claim AND state = 'running'

-- name: drop_of_deleted
-- A run that went back into the queue of a task deleted meanwhile: nobody would ever take it.
UPDATE task_runs SET reason = 'deleted', ended_at = :at,
    state = CASE WHEN attempt > 1 THEN 'cancelled' ELSE 'skipped' END,
    error = CASE WHEN attempt > 1 THEN COALESCE(error || '; ', '') || 'no further attempt: ' ELSE '' END
            || 'the task was deleted'
WHERE id = :run_id AND state = 'queued'
  AND (SELECT deleted_at FROM tasks WHERE tasks.id = task_runs.task_id) IS NOT NULL

-- name: cancel_queued_run
-- A run that has not begun is cancelled at once.
UPDATE task_runs SET state = 'cancelled', reason = 'cancelled', cancel_requested_at = :at,
    cancel_reason = 'cancelled', ended_at = :at,
    error = CASE WHEN attempt > 1 THEN COALESCE(error || '; ', '') || 'no further attempt: cancelled'
                 ELSE 'cancelled before it began' END
WHERE id = :run_id AND state = 'queued'

-- name: request_cancel
-- A running run is asked to stop; the node that watches it sees to that.
UPDATE task_runs SET cancel_requested_at = COALESCE(cancel_requested_at, :at),
    cancel_reason = COALESCE(cancel_reason, 'cancelled')
WHERE id = :run_id AND state = 'running'

-- name: running_of
-- What a node watches.
SELECT {run_columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id
WHERE r.state = 'running' AND r.claimed_by = :node_id

-- name: running_elsewhere
-- What other nodes watch, or watched before they died.
SELECT {run_columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id
WHERE r.state = 'running' AND r.claimed_by <> :node_id

-- name: all_running
-- All that reads as running, also where its task or its node is no more.
SELECT {run_columns} FROM task_runs r LEFT JOIN tasks t ON t.id = r.task_id
WHERE r.state = 'running'

-- name: in_no_state
-- Runs in a state that there is not, newest first: each state is one step in the index.
WITH RECURSIVE found(state) AS (
    SELECT MIN(state) FROM task_runs
    UNION ALL
    SELECT (SELECT MIN(state) FROM task_runs WHERE state > found.state) FROM found
    WHERE found.state IS NOT NULL
)
SELECT {run_columns} FROM task_runs r LEFT JOIN tasks t ON t.id = r.task_id
WHERE r.state IN (SELECT state FROM found WHERE state NOT IN (
    'queued', 'running', 'completed', 'failed', 'cancelled', 'skipped'))
ORDER BY r.id DESC LIMIT :limit

-- name: any_run
-- One, also where its task is no more.
SELECT {run_columns} FROM task_runs r LEFT JOIN tasks t ON t.id = r.task_id WHERE r.id = :run_id

-- name: cancel_requests
-- Running runs that a node was asked to end.
SELECT id FROM task_runs
WHERE state = 'running' AND claimed_by = :node_id AND cancel_requested_at IS NOT NULL

-- name: adopt_run
-- Take over the watch from a dead node.
UPDATE task_runs SET claimed_by = :node_id, lease_epoch = :epoch
WHERE id = :run_id AND claim = :claim AND claimed_by = :from_node AND state = 'running'

-- name: assigned_nodes
-- The nodes that queued runs wait for.
SELECT DISTINCT assigned_to FROM task_runs WHERE state = 'queued' AND assigned_to IS NOT NULL

-- name: assigned_runs
-- Queued runs that wait for a node, and for which.
SELECT id, assigned_to FROM task_runs WHERE state = 'queued' AND assigned_to IS NOT NULL

-- name: release_run
-- A queued run goes to the leader.
UPDATE task_runs SET assigned_to = NULL WHERE state = 'queued' AND id = :run_id

-- name: release_assigned
-- Queued runs of a dead node go to the leader.
UPDATE task_runs SET assigned_to = NULL WHERE state = 'queued' AND assigned_to = :node_id
RETURNING id
