-- The catalog: folders that are scanned, one row per file, the user's words about it, and an index of all words.

CREATE TABLE roots (
    path TEXT PRIMARY KEY,
    added REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE assets (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,              -- nanoseconds
    kind TEXT NOT NULL DEFAULT 'unknown',
    architecture TEXT,
    variant TEXT,
    format TEXT NOT NULL,
    layout TEXT,
    prediction TEXT,
    dtype TEXT,                             -- the precision of most elements, fp16
    dtypes TEXT NOT NULL DEFAULT '{}',      -- JSON: dtype to elements
    parameters INTEGER,
    components TEXT NOT NULL DEFAULT '[]',  -- JSON, as are adapter to facts
    adapter TEXT,
    trigger_words TEXT NOT NULL DEFAULT '[]',
    evidence TEXT NOT NULL DEFAULT '[]',
    conflicts TEXT NOT NULL DEFAULT '[]',
    facts TEXT NOT NULL DEFAULT '{}',
    confidence TEXT NOT NULL DEFAULT 'none',
    fingerprint TEXT,
    title TEXT,
    source TEXT,
    recipe TEXT,
    sha256 TEXT,
    blake3 TEXT,
    crc32 TEXT,
    autov1 TEXT,
    autov2 TEXT,
    autov3 TEXT,
    rating INTEGER NOT NULL DEFAULT 0,
    notes TEXT NOT NULL DEFAULT '',
    problem_code TEXT,
    problem TEXT,
    identified_by TEXT NOT NULL DEFAULT '', -- version of the rules; other rules identify again
    added REAL NOT NULL,
    missing INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX assets_by_file ON assets (device, inode);
CREATE INDEX assets_by_kind ON assets (kind, architecture);
CREATE INDEX assets_by_name ON assets (name COLLATE NOCASE);
CREATE INDEX assets_by_sha256 ON assets (sha256);
CREATE INDEX assets_by_size ON assets (size);

CREATE TABLE tags (
    asset_id INTEGER NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
    tag TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (asset_id, tag)
) WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag);

-- Any part of any word is found: trigrams of path, title, trigger words, notes and tags.
CREATE VIRTUAL TABLE words USING fts5 (path, title, trigger_words, notes, tags, tokenize = 'trigram');

CREATE TRIGGER words_added AFTER INSERT ON assets BEGIN
    INSERT INTO words (rowid, path, title, trigger_words, notes, tags)
    VALUES (new.id, new.path, new.title, new.trigger_words, new.notes, '');
END;
CREATE TRIGGER words_changed AFTER UPDATE OF path, title, trigger_words, notes ON assets BEGIN
    UPDATE words SET path = new.path, title = new.title, trigger_words = new.trigger_words, notes = new.notes
    WHERE rowid = new.id;
END;
CREATE TRIGGER words_removed AFTER DELETE ON assets BEGIN
    DELETE FROM words WHERE rowid = old.id;
END;
CREATE TRIGGER words_tagged AFTER INSERT ON tags BEGIN
    UPDATE words SET tags = (SELECT group_concat(tag, ' ') FROM tags WHERE asset_id = new.asset_id) WHERE rowid = new.asset_id;
END;
CREATE TRIGGER words_untagged AFTER DELETE ON tags BEGIN
    UPDATE words SET tags = coalesce((SELECT group_concat(tag, ' ') FROM tags WHERE asset_id = old.asset_id), '')
    WHERE rowid = old.asset_id;
END;
