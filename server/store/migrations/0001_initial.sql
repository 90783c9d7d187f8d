-- Names of devices and jobs are text; SHA-256 digests of versions are 32-byte blobs, so that a
-- prefix search is a range of the index; instants are milliseconds since the Unix epoch; unsigned
-- counters must fit 63 bits. A NaN is stored as NULL, which is how SQLite writes it.

CREATE TABLE token (
  secret_sha256 TEXT    NOT NULL PRIMARY KEY CHECK (secret_sha256 <> ''),
  device        TEXT    NOT NULL,               -- '': any name
  uses_left     INTEGER NOT NULL CHECK (uses_left >= 0),
  expires_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
  client                 TEXT    NOT NULL PRIMARY KEY CHECK (client <> ''),
  state                  INTEGER NOT NULL CHECK (state IN (1, 2)),  -- DeviceState
  public_key_sha256      TEXT    NOT NULL,
  certificate_sha256     TEXT    NOT NULL,
  enrolled_ms            INTEGER NOT NULL,
  last_seen_ms           INTEGER NOT NULL,
  certificate_expires_ms INTEGER NOT NULL,
  updates_accepted       INTEGER NOT NULL CHECK (updates_accepted >= 0),
  updates_rejected       INTEGER NOT NULL CHECK (updates_rejected >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX device_key ON device (public_key_sha256);
CREATE INDEX device_revoked ON device (client) WHERE state = 2;

-- Which key has used which token for which name: what makes a repeated enrolment recognisable.
CREATE TABLE token_use (
  secret_sha256     TEXT NOT NULL REFERENCES token,
  public_key_sha256 TEXT NOT NULL,
  client            TEXT NOT NULL REFERENCES device,
  PRIMARY KEY (secret_sha256, public_key_sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
  job             TEXT    NOT NULL PRIMARY KEY CHECK (job <> ''),
  state           INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),  -- JobState
  why             TEXT    NOT NULL,
  job_toml        TEXT    NOT NULL,
  initial_version BLOB    NOT NULL CHECK (length(initial_version) = 32),
  current_version BLOB    NOT NULL CHECK (length(current_version) = 32),
  last_round      INTEGER NOT NULL CHECK (last_round >= 0),
  created_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keyed by round, not by digest: a round that changes nothing publishes the same bytes again.
CREATE TABLE version (
  job        TEXT    NOT NULL REFERENCES job,
  round      INTEGER NOT NULL CHECK (round >= 0),  -- 0: the initial model
  sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
  bytes      INTEGER NOT NULL CHECK (bytes >= 0),
  parameters INTEGER NOT NULL CHECK (parameters >= 0),
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (job, round)
) STRICT, WITHOUT ROWID;

CREATE INDEX version_digest ON version (job, sha256);

CREATE TABLE round (
  job          TEXT    NOT NULL REFERENCES job,
  round        INTEGER NOT NULL CHECK (round >= 1),
  state        INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),  -- RoundState
  why          TEXT    NOT NULL,
  cohort       TEXT    NOT NULL,  -- sorted names, one per line: written and read as a whole only
  base_version BLOB    NOT NULL CHECK (length(base_version) = 32),
  version      BLOB             CHECK (length(version) = 32),
  goal         INTEGER NOT NULL CHECK (goal >= 0),
  accepted     INTEGER NOT NULL CHECK (accepted >= 0),
  rejected     INTEGER NOT NULL CHECK (rejected >= 0),
  discarded    INTEGER NOT NULL CHECK (discarded >= 0),
  evaluated    INTEGER NOT NULL CHECK (evaluated >= 0),
  examples     INTEGER NOT NULL CHECK (examples >= 0),
  bytes_up     INTEGER NOT NULL CHECK (bytes_up >= 0),
  bytes_down   INTEGER NOT NULL CHECK (bytes_down >= 0),
  opened_ms    INTEGER NOT NULL,
  closed_ms    INTEGER,
  PRIMARY KEY (job, round),
  CHECK ((state = 2) = (version IS NOT NULL)),
  CHECK ((state = 1) = (closed_ms IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX round_open ON round (job) WHERE state = 1;  -- at most one for each job

-- One device counts at most once in a round: the key says so.
CREATE TABLE receipt (
  job      TEXT    NOT NULL,
  round    INTEGER NOT NULL,
  client   TEXT    NOT NULL CHECK (client <> ''),
  outcome  TEXT    NOT NULL CHECK (outcome IN ('accepted', 'rejected', 'discarded')),
  why      TEXT    NOT NULL,
  examples INTEGER NOT NULL CHECK (examples >= 0),
  bytes    INTEGER NOT NULL CHECK (bytes >= 0),
  seconds  REAL,
  digest   TEXT    NOT NULL,
  PRIMARY KEY (job, round, client),
  FOREIGN KEY (job, round) REFERENCES round
) STRICT, WITHOUT ROWID;

CREATE TABLE round_metric (
  id    INTEGER PRIMARY KEY,  -- keeps the order in which they were given
  job   TEXT    NOT NULL,
  round INTEGER NOT NULL,
  name  TEXT    NOT NULL CHECK (name <> ''),
  value REAL,
  UNIQUE (job, round, name),
  FOREIGN KEY (job, round) REFERENCES round
) STRICT;

CREATE TABLE audit (
  id     INTEGER PRIMARY KEY,  -- counts up; the newest limits::kAuditRowsMax are kept
  at_ms  INTEGER NOT NULL,
  who    TEXT    NOT NULL,
  what   TEXT    NOT NULL,
  detail TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_who ON audit (who, id);
