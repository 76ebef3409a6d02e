-- name: register_node
-- A node says hello.
INSERT INTO nodes (id, role, host, pid, version, scheduler, started_at, max_concurrent_runs,
    listens, open)
VALUES (:id, :role, :host, :pid, :version, :scheduler, :started_at, :max_concurrent_runs,
    :listens, :open)
ON CONFLICT (id) DO UPDATE SET role = excluded.role, host = excluded.host, pid = excluded.pid,
    version = excluded.version, scheduler = excluded.scheduler,
    started_at = excluded.started_at, max_concurrent_runs = excluded.max_concurrent_runs,
    listens = excluded.listens, open = excluded.open

-- name: list_nodes
-- Nodes that have not said goodbye. Whether they live, their lifetime locks say.
SELECT id, role, host, pid, version, scheduler, started_at, max_concurrent_runs, listens, open
FROM nodes
ORDER BY started_at, id

-- name: remove_node
-- A node says goodbye, or is found dead.
DELETE FROM nodes WHERE id = :node_id
