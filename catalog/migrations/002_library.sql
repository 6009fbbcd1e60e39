-- What the user says a file is beside what its bytes say, further paths of one content, sidecars, trash, journal, samples.

ALTER TABLE assets ADD COLUMN found TEXT NOT NULL DEFAULT '{}';   -- JSON: kind, architecture, variant as the bytes say
ALTER TABLE assets ADD COLUMN said TEXT NOT NULL DEFAULT '{}';    -- JSON: the same as the user says; it wins
UPDATE assets SET found = json_object('kind', kind, 'architecture', architecture, 'variant', variant);
ALTER TABLE assets ADD COLUMN sidecar TEXT NOT NULL DEFAULT '{}'; -- JSON: facts of the files beside the model
ALTER TABLE assets ADD COLUMN sidecar_stamp INTEGER NOT NULL DEFAULT 0;
ALTER TABLE assets ADD COLUMN sidecar_words TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN verified REAL;                      -- when the bytes were last found to be as hashed
ALTER TABLE assets ADD COLUMN trashed INTEGER;                    -- the journal's entry that moved it to the trash

-- Hard links and symbolic links to a content: one asset, several paths.
CREATE TABLE links (
    path TEXT PRIMARY KEY,
    asset_id INTEGER NOT NULL REFERENCES assets (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX links_by_asset ON links (asset_id);

-- A few values of each content, to find the same weights in other files.
CREATE TABLE samples (
    asset_id INTEGER PRIMARY KEY REFERENCES assets (id) ON DELETE CASCADE,
    made_by TEXT NOT NULL,
    data BLOB NOT NULL
);

-- The order of every list: read from the index alone.
CREATE INDEX assets_in_order ON assets (name COLLATE NOCASE, path, trashed) WHERE trashed IS NULL;

-- What a scan compares with the disk: read from the index alone, a tenth of the table.
CREATE INDEX assets_on_disk
ON assets (path, device, inode, size, modified, sidecar_stamp, missing, identified_by, trashed) WHERE trashed IS NULL;

-- What hashing has still to do: counted by every scan, and that from the index alone.
CREATE INDEX assets_unhashed ON assets (size, missing, trashed, problem, sha256, blake3)
WHERE trashed IS NULL AND missing = 0 AND problem IS NULL AND (sha256 IS NULL OR blake3 IS NULL);

-- The highest id that was ever given: the journal names assets by their ids, so none is given twice.
CREATE TABLE numbers (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    action TEXT NOT NULL,
    summary TEXT NOT NULL,
    details TEXT NOT NULL DEFAULT '{}',     -- JSON: what undoing it needs
    undone REAL
);

DROP TRIGGER words_added;
DROP TRIGGER words_changed;
DROP TRIGGER words_removed;
DROP TRIGGER words_tagged;
DROP TRIGGER words_untagged;
DROP TABLE words;
CREATE VIRTUAL TABLE words USING fts5 (path, title, trigger_words, notes, tags, sidecar, tokenize = 'trigram');
INSERT INTO words (rowid, path, title, trigger_words, notes, tags, sidecar)
SELECT id, path, title, trigger_words, notes,
    coalesce((SELECT group_concat(tag, ' ') FROM tags WHERE asset_id = assets.id), ''), sidecar_words FROM assets;

CREATE TRIGGER words_added AFTER INSERT ON assets BEGIN
    INSERT INTO words (rowid, path, title, trigger_words, notes, tags, sidecar)
    VALUES (new.id, new.path, new.title, new.trigger_words, new.notes, '', new.sidecar_words);
END;
CREATE TRIGGER words_changed AFTER UPDATE OF path, title, trigger_words, notes, sidecar_words ON assets BEGIN
    UPDATE words SET path = new.path, title = new.title, trigger_words = new.trigger_words, notes = new.notes,
        sidecar = new.sidecar_words WHERE rowid = new.id;
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
