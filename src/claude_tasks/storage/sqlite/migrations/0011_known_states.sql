-- A run in a state that there is not was taken for ended, and so could never be set right.
DROP TRIGGER task_runs_terminal_is_final;
CREATE TRIGGER task_runs_terminal_is_final
BEFORE UPDATE ON task_runs
WHEN OLD.state IN ('completed', 'failed', 'cancelled', 'skipped')
BEGIN
    SELECT RAISE(ABORT, 'a run that ended is never rewritten');
END;

DROP TRIGGER task_runs_ended;
CREATE TRIGGER task_runs_ended
AFTER UPDATE OF state ON task_runs
WHEN NEW.state IN ('completed', 'failed', 'cancelled', 'skipped')
BEGIN
    INSERT OR IGNORE INTO outbox (run_id) VALUES (NEW.id);
END;
