-- Until when a queued run was told to wait for a usage window. `not_before` comes earlier where it is
-- looked at again meanwhile, and later where nobody could say then whether it may start.
ALTER TABLE task_runs ADD COLUMN deferred_until INTEGER;
UPDATE task_runs SET deferred_until = not_before
WHERE state = 'queued' AND reason IN ('usage_threshold', 'usage_limit');
