-- How many bytes the step from the version before has, 0 without one, and the XXH3-128 of what its
-- codec left out, which the next round adds.
ALTER TABLE version ADD COLUMN change_bytes INTEGER NOT NULL DEFAULT 0 CHECK (change_bytes >= 0);
ALTER TABLE version ADD COLUMN rest_digest BLOB
  CHECK (rest_digest IS NULL OR length(rest_digest) = 16);
