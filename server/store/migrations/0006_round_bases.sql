-- What devices share from a round on under the codec subspace: needed again after a restart, for the
-- open round's updates are coordinates along it.
CREATE TABLE round_basis (
  job         TEXT    NOT NULL REFERENCES job,
  first_round INTEGER NOT NULL CHECK (first_round > 0),
  basis       BLOB    NOT NULL CHECK (length(basis) >= 4),
  PRIMARY KEY (job, first_round)
) STRICT;
