-- What providers say of contents, the downloads that wait, run or are done, and assets that are nobody's business.

ALTER TABLE assets ADD COLUMN never_look_up INTEGER NOT NULL DEFAULT 0; -- by the user: 1 no provider is asked, -1 they are

-- What a provider says of a content, by its SHA256: it stays right when the file is moved, renamed or scanned again.
CREATE TABLE lookups (
    sha256 TEXT NOT NULL,
    provider TEXT NOT NULL,                 -- civitai, huggingface, web
    at REAL NOT NULL,                       -- when it was asked
    found INTEGER NOT NULL,                 -- 0: the provider does not know the content
    model TEXT,                             -- the provider's names of the model and of its version
    version TEXT,
    base_model TEXT GENERATED ALWAYS AS (json_extract(facts, '$.base_model')) STORED, -- what searches ask for by itself
    creator TEXT GENERATED ALWAYS AS (json_extract(facts, '$.creator')) STORED,
    facts TEXT NOT NULL DEFAULT '{}',       -- JSON: fields of SidecarFacts, and the picture's path
    words TEXT NOT NULL DEFAULT '',         -- what a search finds it by
    PRIMARY KEY (sha256, provider)
);
CREATE INDEX lookups_by_model ON lookups (provider, model);

-- What a provider says of a model and its versions: kept so that nothing is asked twice in a day.
CREATE TABLE models (
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    at REAL NOT NULL,
    found INTEGER NOT NULL,
    facts TEXT NOT NULL DEFAULT '{}',       -- JSON
    PRIMARY KEY (provider, model)
);

CREATE TABLE downloads (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    added REAL NOT NULL,
    changed REAL NOT NULL,
    state TEXT NOT NULL,                    -- waiting, running, paused, failed, done
    plan TEXT NOT NULL,                     -- JSON: the order
    title TEXT NOT NULL,
    goal TEXT NOT NULL,
    size INTEGER,
    done INTEGER NOT NULL DEFAULT 0,        -- bytes that are there
    sha256 TEXT,
    code TEXT,                              -- of the last error, with its sentence and its hint
    message TEXT,
    hint TEXT
);
CREATE INDEX downloads_by_state ON downloads (state, id);

DROP TRIGGER words_added;
DROP TRIGGER words_changed;

CREATE TRIGGER words_added AFTER INSERT ON assets BEGIN
    INSERT INTO words (rowid, path, title, trigger_words, notes, tags, sidecar)
    VALUES (new.id, new.path, new.title, new.trigger_words, new.notes, '',
        new.sidecar_words || coalesce((SELECT ' ' || group_concat(words, ' ') FROM lookups WHERE sha256 = new.sha256), ''));
END;
CREATE TRIGGER words_changed AFTER UPDATE OF path, title, trigger_words, notes, sidecar_words ON assets BEGIN
    UPDATE words SET path = new.path, title = new.title, trigger_words = new.trigger_words, notes = new.notes,
        sidecar = new.sidecar_words
            || coalesce((SELECT ' ' || group_concat(words, ' ') FROM lookups WHERE sha256 = new.sha256), '')
    WHERE rowid = new.id;
END;
CREATE TRIGGER words_hashed AFTER UPDATE OF sha256 ON assets
WHEN EXISTS (SELECT 1 FROM lookups WHERE sha256 IN (old.sha256, new.sha256)) BEGIN
    UPDATE words SET sidecar = new.sidecar_words
        || coalesce((SELECT ' ' || group_concat(words, ' ') FROM lookups WHERE sha256 = new.sha256), '')
    WHERE rowid = new.id;
END;
CREATE TRIGGER words_looked_up AFTER INSERT ON lookups BEGIN
    UPDATE words SET sidecar = (SELECT sidecar_words FROM assets WHERE assets.id = words.rowid)
        || ' ' || (SELECT group_concat(words, ' ') FROM lookups WHERE sha256 = new.sha256)
    WHERE rowid IN (SELECT id FROM assets WHERE sha256 = new.sha256);
END;
CREATE TRIGGER words_looked_up_again AFTER UPDATE OF words ON lookups WHEN old.words <> new.words BEGIN
    UPDATE words SET sidecar = (SELECT sidecar_words FROM assets WHERE assets.id = words.rowid)
        || ' ' || (SELECT group_concat(words, ' ') FROM lookups WHERE sha256 = new.sha256)
    WHERE rowid IN (SELECT id FROM assets WHERE sha256 = new.sha256);
END;
CREATE TRIGGER words_looked_away AFTER DELETE ON lookups BEGIN
    UPDATE words SET sidecar = (SELECT sidecar_words FROM assets WHERE assets.id = words.rowid)
        || coalesce((SELECT ' ' || group_concat(words, ' ') FROM lookups WHERE sha256 = old.sha256), '')
    WHERE rowid IN (SELECT id FROM assets WHERE sha256 = old.sha256);
END;
