-- Runs that say whether their task works, by their end: what came before one is found at once, however
-- many ticks were skipped since.
CREATE INDEX task_runs_verdicts ON task_runs (task_id, ended_at, id)
WHERE state IN ('completed', 'failed') OR (state = 'skipped'
      AND reason NOT IN ('overlap', 'disabled', 'deleted', 'rescheduled'));
