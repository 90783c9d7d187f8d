-- Which codec each tensor of a job gets: made anew from time to time, and needed again after a
-- restart, for the open round's updates follow it.
CREATE TABLE codec_plan (
  job         TEXT    NOT NULL REFERENCES job,
  first_round INTEGER NOT NULL CHECK (first_round > 0),
  plan        TEXT    NOT NULL CHECK (plan <> ''),
  PRIMARY KEY (job, first_round)
) STRICT, WITHOUT ROWID;
