-- How the modules of an adapter meet the layers of a model: a row for each pair of layouts, whatever files have them.

CREATE TABLE fits (
    adapter TEXT NOT NULL,                  -- the layouts, by fingerprint
    model TEXT NOT NULL,
    made_by TEXT NOT NULL,                  -- version of the rules; what other rules made is made again
    fit BLOB NOT NULL,                      -- JSON, compressed
    PRIMARY KEY (adapter, model)
) WITHOUT ROWID;
