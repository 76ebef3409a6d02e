-- name: read_lease
-- The lease as it stands.
SELECT name, holder, epoch, renew_seq, ttl_ms, acquired_at, renewed_at, expires_at, host, pid, role,
       version
FROM scheduler_leases WHERE name = 'scheduler'

-- name: take_lease
-- A new epoch, if nothing moved since it was looked at.
UPDATE scheduler_leases SET holder = :node_id, epoch = epoch + 1, renew_seq = 0, ttl_ms = :ttl_ms,
    acquired_at = :at, renewed_at = :at, expires_at = :at + :ttl_ms, host = :host, pid = :pid,
    role = :role, version = :version
WHERE name = 'scheduler' AND epoch = :seen_epoch AND renew_seq = :seen_renew_seq
  AND (holder = :seen_holder OR (holder IS NULL AND :seen_holder IS NULL))

-- name: renew_lease
-- Prolong one's own term.
UPDATE scheduler_leases SET renew_seq = renew_seq + 1, ttl_ms = :ttl_ms, renewed_at = :at,
    expires_at = :at + :ttl_ms
WHERE name = 'scheduler' AND holder = :node_id AND epoch = :epoch

-- name: release_lease
-- Free the lease. The epoch stays: the next holder starts a new one.
UPDATE scheduler_leases SET holder = NULL, renew_seq = renew_seq + 1, expires_at = :at, host = NULL,
    pid = NULL, role = NULL, version = NULL
WHERE name = 'scheduler' AND holder = :node_id AND epoch = :epoch

-- name: write_lease
-- In the place of a row that makes no sense; as a new row, since an epoch never goes back in one.
INSERT OR REPLACE INTO scheduler_leases (name, holder, epoch, renew_seq, ttl_ms)
VALUES (:name, :holder, :epoch, :renew_seq, :ttl_ms)

-- name: highest_epoch
-- As far as anybody knows: of the lease itself, the runs, the clock's steps and the change feed.
SELECT COALESCE(MAX(epoch), 0) FROM (
    SELECT epoch FROM scheduler_leases
    UNION ALL SELECT lease_epoch FROM task_runs
    UNION ALL SELECT epoch FROM clock_steps
    UNION ALL SELECT CAST(ref AS INTEGER) FROM changes WHERE topic = 'lease'
) WHERE typeof(epoch) = 'integer' AND epoch < :end
