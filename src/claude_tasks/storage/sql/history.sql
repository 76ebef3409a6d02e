-- name: totals
-- What is kept of all runs that ended and were announced.
SELECT figure, label, amount FROM run_totals

-- name: add_total
-- More of a figure.
INSERT INTO run_totals (figure, label, amount) VALUES (:figure, :label, :amount)
ON CONFLICT (figure, label) DO UPDATE SET amount = amount + :amount

-- name: uncounted
-- The facts of the runs that are not in the totals: those that have not ended, or were not announced.
SELECT {fact_columns} FROM task_runs WHERE state IN ('queued', 'running')
UNION ALL
SELECT {fact_columns} FROM task_runs
WHERE id IN (SELECT run_id FROM outbox) AND state NOT IN ('queued', 'running')

-- name: facts_of
-- What figures are made of, for runs that are announced now: of two who announce one the first counts.
SELECT {fact_columns} FROM task_runs
WHERE id IN ({ids}) AND id IN (SELECT run_id FROM outbox)

-- name: index_texts
-- The texts of some runs, for the search. Runs that say nothing cost nothing.
INSERT INTO run_texts (rowid, text)
SELECT id, lower(output || char(10) || COALESCE(error, '')) FROM task_runs
WHERE id IN ({ids}) AND output || COALESCE(error, '') <> ''

-- name: texts_from
-- From which run on the texts are indexed, but for those that were not announced yet.
SELECT value FROM history_state WHERE key = 'texts_from'

-- name: index_older
-- The texts of some runs before those.
INSERT INTO run_texts (rowid, text)
SELECT id, lower(output || char(10) || COALESCE(error, '')) FROM task_runs
WHERE id >= :from AND id < :until AND state NOT IN ('queued', 'running')
  AND id NOT IN (SELECT run_id FROM outbox) AND output || COALESCE(error, '') <> ''

-- name: set_texts_from
-- So far back they are indexed now.
UPDATE history_state SET value = :from WHERE key = 'texts_from' AND value = :until

-- name: search_indexed
-- Runs that say it, found by the index; it may name too many, for it knows three characters at a time.
SELECT {columns} FROM run_texts
CROSS JOIN task_runs r ON r.id = run_texts.rowid JOIN tasks t ON t.id = r.task_id
WHERE run_texts MATCH :match AND {says} AND {conditions}
ORDER BY run_texts.rowid DESC LIMIT :limit

-- name: search_unindexed
-- Runs that say it, among those that are not in the index yet.
SELECT {columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id
WHERE r.id IN (SELECT run_id FROM outbox UNION ALL
               SELECT id FROM task_runs WHERE state IN ('queued', 'running'))
  AND {says} AND {conditions}
ORDER BY r.id DESC LIMIT :limit

-- name: search_by_name
-- Runs of the tasks whose name says it.
SELECT {columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id
WHERE r.task_id IN (SELECT id FROM tasks WHERE instr(lower(name), lower(:text)) > 0)
  AND {conditions}
ORDER BY r.id DESC LIMIT :limit

-- name: search_range
-- Runs that say it, looked at one by one between two ids.
SELECT {columns} FROM task_runs r JOIN tasks t ON t.id = r.task_id
WHERE r.id >= :from AND r.id < :until AND {says} AND {conditions}
ORDER BY r.id DESC LIMIT :limit

-- name: newest_run
-- The newest run there is.
SELECT COALESCE(MAX(id), 0) FROM task_runs
