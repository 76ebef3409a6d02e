-- Totals over all runs that ended and were announced: what the monitor's counters are made of. Those
-- that ended and still stand in the outbox are added at each look.
CREATE TABLE run_totals (
    figure                  TEXT    NOT NULL,             -- ticks, runs, cost_usd, lateness, wait, …
    label                   TEXT    NOT NULL,             -- an outcome, a place among the bounds, …
    amount                  NUMERIC NOT NULL,
    PRIMARY KEY (figure, label)
) WITHOUT ROWID;

-- The texts of runs by every three characters in a row: an index alone, the texts stay where they are.
CREATE VIRTUAL TABLE run_texts USING fts5 (
    text, content = '', columnsize = 0, detail = none, tokenize = 'trigram'
);

-- `texts_from`: runs from this id on are in the index; older ones are added bit by bit.
CREATE TABLE history_state (
    key                     TEXT    PRIMARY KEY,
    value                   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO history_state SELECT 'texts_from', COALESCE(MAX(id), 0) + 1 FROM task_runs;

CREATE TEMP TABLE counted AS
SELECT trigger, state, reason, claim, attempt, cost_usd, input_tokens, output_tokens, skipped_count,
       trigger <> 'manual' AND claim = 0 AND state = 'skipped' AS skipped_tick,
       trigger <> 'manual' AND NOT (claim = 0 AND state = 'skipped') AS ran_tick,
       MAX(0, queued_at - COALESCE(scheduled_for, covers)) AS lateness,
       CASE WHEN attempt = 1 THEN MAX(0, started_at - queued_at) END AS wait,
       MAX(0, ended_at - started_at) AS duration
FROM task_runs
WHERE state NOT IN ('queued', 'running') AND id NOT IN (SELECT run_id FROM outbox);

INSERT INTO run_totals
SELECT 'ticks', COALESCE(reason, 'None'), SUM(MAX(1, COALESCE(skipped_count, 1))) FROM counted
WHERE skipped_tick GROUP BY 2
UNION ALL SELECT 'ticks', 'run', COUNT(*) FROM counted WHERE ran_tick HAVING COUNT(*) > 0
UNION ALL SELECT 'runs', trigger || ' ' || state || ' ' || COALESCE(reason, ''), COUNT(*)
          FROM counted GROUP BY 2
UNION ALL SELECT 'cost_usd', '', TOTAL(cost_usd) FROM counted
UNION ALL SELECT 'input_tokens', '', COALESCE(SUM(input_tokens), 0) FROM counted
UNION ALL SELECT 'output_tokens', '', COALESCE(SUM(output_tokens), 0) FROM counted;

-- The bounds of the histograms, ms, as `domain/run_figures.py` has them; a place counts what lies above
-- the bounds before it.
CREATE TEMP TABLE bounds (figure TEXT, bound INTEGER);
INSERT INTO bounds VALUES
    ('lateness', 50), ('lateness', 100), ('lateness', 250), ('lateness', 500), ('lateness', 750),
    ('lateness', 1000), ('lateness', 2500), ('lateness', 5000), ('lateness', 10000),
    ('lateness', 30000), ('lateness', 60000), ('lateness', 300000), ('lateness', 600000),
    ('wait', 50), ('wait', 100), ('wait', 250), ('wait', 500), ('wait', 1000), ('wait', 2500),
    ('wait', 5000), ('wait', 10000), ('wait', 30000), ('wait', 60000), ('wait', 300000),
    ('wait', 900000), ('wait', 3600000),
    ('duration', 1000), ('duration', 5000), ('duration', 15000), ('duration', 30000),
    ('duration', 60000), ('duration', 120000), ('duration', 300000), ('duration', 600000),
    ('duration', 1200000), ('duration', 1800000), ('duration', 3600000), ('duration', 7200000),
    ('duration', 14400000), ('duration', 28800000);
CREATE TEMP TABLE observed AS
SELECT 'lateness' AS figure, lateness AS ms FROM counted WHERE ran_tick AND lateness IS NOT NULL
UNION ALL SELECT 'wait', wait FROM counted WHERE wait IS NOT NULL
UNION ALL SELECT 'duration', duration FROM counted WHERE duration IS NOT NULL;

INSERT INTO run_totals
SELECT figure, (SELECT COUNT(*) FROM bounds AS b WHERE b.figure = o.figure AND b.bound < o.ms), COUNT(*)
FROM observed AS o GROUP BY 1, 2
UNION ALL SELECT figure, 'sum_ms', SUM(ms) FROM observed GROUP BY 1;

DROP TABLE temp.observed;
DROP TABLE temp.bounds;
DROP TABLE temp.counted;
