-- name: get_setting
-- What was put under a key.
SELECT value FROM settings WHERE key = :key

-- name: put_setting
-- Keep a value in place of the earlier one.
INSERT INTO settings (key, value, updated_at) VALUES (:key, :value, :at)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
