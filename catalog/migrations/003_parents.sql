-- Which models went into a merged file, as its metadata tells: JSON, [[sha256 or "", depth, name], ...]; NULL for none.

ALTER TABLE assets ADD COLUMN parents TEXT;
CREATE INDEX assets_merged ON assets (id) WHERE parents IS NOT NULL;

-- The next scan reads the headers of what may be a merge again.
UPDATE assets SET identified_by = '' WHERE kind IN ('checkpoint', 'diffusion-model', 'vae', 'text-encoder', 'unknown');
