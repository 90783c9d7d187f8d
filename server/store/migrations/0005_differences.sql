-- XXH3-128 of the mean of what devices have sent, when they send differences (EF21); and the rounds
-- with which those begin anew.
ALTER TABLE version ADD COLUMN sent_digest BLOB
  CHECK (sent_digest IS NULL OR length(sent_digest) = 16);

CREATE TABLE difference_start (
  job         TEXT    NOT NULL REFERENCES job,
  first_round INTEGER NOT NULL CHECK (first_round > 0),
  PRIMARY KEY (job, first_round)
) STRICT, WITHOUT ROWID;
