-- What devices share after a job's newest version under the codec subspace: needed again after a
-- restart, for the open round's updates are coordinates along it.
CREATE TABLE round_basis (
  job   TEXT NOT NULL PRIMARY KEY REFERENCES job,
  basis BLOB NOT NULL CHECK (length(basis) >= 4)
) STRICT;
