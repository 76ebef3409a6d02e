-- name: register_node
-- A node says hello.
INSERT INTO nodes (id, role, host, pid, version, scheduler, started_at, max_concurrent_runs,
    listens, open, ttl_ms, beat, beat_at, beat_monotonic)
VALUES (:id, :role, :host, :pid, :version, :scheduler, :started_at, :max_concurrent_runs,
    :listens, :open, :ttl_ms, :beat, :beat_at, :beat_monotonic)
ON CONFLICT (id) DO UPDATE SET role = excluded.role, host = excluded.host, pid = excluded.pid,
    version = excluded.version, scheduler = excluded.scheduler,
    started_at = excluded.started_at, max_concurrent_runs = excluded.max_concurrent_runs,
    listens = excluded.listens, open = excluded.open, ttl_ms = excluded.ttl_ms,
    beat = excluded.beat, beat_at = excluded.beat_at,
    beat_monotonic = excluded.beat_monotonic

-- name: list_nodes
-- Nodes that have not said goodbye. Whether they live, their lifetime locks say.
SELECT id, role, host, pid, version, scheduler, started_at, max_concurrent_runs, listens, open,
    ttl_ms, beat, beat_at, beat_monotonic
FROM nodes
ORDER BY started_at, id

-- name: move_beat
-- A node says that it makes progress.
UPDATE nodes SET beat = beat + 1, beat_at = :at, beat_monotonic = :monotonic
WHERE id = :node_id

-- name: keys_of_nodes
-- All of them, each behind the key of its row.
SELECT rowid, id, role, host, pid, version, scheduler, started_at, max_concurrent_runs, listens, open,
    ttl_ms, beat, beat_at, beat_monotonic
FROM nodes

-- name: strike_node
-- One by the key of its row.
DELETE FROM nodes WHERE rowid = :key

-- name: remove_node
-- A node says goodbye, or is found dead.
DELETE FROM nodes WHERE id = :node_id
