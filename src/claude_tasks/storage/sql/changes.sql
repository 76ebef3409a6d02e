-- name: note_change
-- One entry of the feed, in the transaction that made the change.
INSERT INTO changes (topic, ref, at) VALUES (:topic, :ref, :at)

-- name: last_change
-- The newest entry.
SELECT COALESCE(MAX(seq), 0) FROM changes

-- name: changes_since
-- Entries after one, oldest first.
SELECT seq, topic, ref, at FROM changes WHERE seq > :seq ORDER BY seq LIMIT :limit

-- name: trim_changes
-- The feed keeps its last ten thousand entries.
DELETE FROM changes WHERE seq <= (SELECT MAX(seq) FROM changes) - 10000
