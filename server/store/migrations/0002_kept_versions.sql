-- Which versions still have their file: a job may keep the newest few only. The row stays, so that
-- what a round published can always be told.
ALTER TABLE version ADD COLUMN kept INTEGER NOT NULL DEFAULT 1 CHECK (kept IN (0, 1));

CREATE INDEX version_kept ON version (job, round) WHERE kept = 1;
CREATE INDEX version_file ON version (sha256) WHERE kept = 1;
