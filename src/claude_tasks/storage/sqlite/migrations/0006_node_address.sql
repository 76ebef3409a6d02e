-- Where a node's API listens, and whether it asks for no token: what is open to others is told.
ALTER TABLE nodes ADD COLUMN listens TEXT;
ALTER TABLE nodes ADD COLUMN open INTEGER NOT NULL DEFAULT 0 CHECK (open IN (0, 1));
