-- name: read_usage
-- What is known.
SELECT windows, source, read_at, failure_code, failure, failed_at, retry_at, failures
FROM usage_snapshot WHERE id = 1

-- name: begin_asking
-- One asks for all; whoever did not come back in time is taken for dead. A turn that ends long after
-- the one wanted was begun before the clock was set back.
UPDATE usage_snapshot SET asking_node = :node_id, asking_until = :until
WHERE id = 1 AND (asking_node IS NULL OR asking_until <= :at OR asking_until > :until + :ahead)

-- name: end_asking
-- Whoever asked asks no more, and learnt nothing.
UPDATE usage_snapshot SET asking_node = NULL, asking_until = NULL
WHERE id = 1 AND asking_node = :node_id

-- name: record_reading
-- A newer answer takes the place of an older one, and ends a series of failures.
UPDATE usage_snapshot SET windows = :windows, source = :source, read_at = :at, failures = 0,
    failure_code = NULL, failure = NULL, failed_at = NULL, retry_at = NULL,
    asking_node = NULL, asking_until = NULL
WHERE id = 1

-- name: learn_reading
-- What a run was told, unless something newer is known. Neither a failure nor its back-off ends by
-- that, nor does who asks for all. A reading from the future was taken before the clock was set back.
UPDATE usage_snapshot SET windows = :windows, source = :source, read_at = :read_at
WHERE id = 1 AND (read_at IS NULL OR read_at <= :read_at OR read_at > :at)

-- name: record_failure
-- Why nobody answered; the last good answer stays.
UPDATE usage_snapshot SET failure_code = :code, failure = :message, failed_at = :at,
    retry_at = :retry_at, failures = :repeated, asking_node = NULL, asking_until = NULL
WHERE id = 1
