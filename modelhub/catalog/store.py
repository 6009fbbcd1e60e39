"""The catalog: all assets and what the user said about them. Scans, searches and the TUI can overlap.

A `Catalog` belongs to one thread; another thread opens its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.columns import HASH_NAMES, effective
from modelhub.catalog.kinds import KINDS
from modelhub.catalog.reading import CatalogReader
from modelhub.errors import NotFoundError, UsageError
from modelhub.formats.stat import FileStat
from modelhub.text import is_utf8

if TYPE_CHECKING:
    from modelhub.catalog.identity import Identity
    from modelhub.formats.hashes import Hashes


class Catalog(CatalogReader):
    """All assets and what the user said about them."""

    # -- what the user says ----------------------------------------------------------------------------------------

    def tag(self, ids: Iterable[int], add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove tags. Raises UsageError for a tag that is empty, long, or not printable on one line."""
        ids, add, remove = list(ids), [_tag(word) for word in add], [_tag(word) for word in remove]
        with self.atomic():
            self.each("INSERT OR IGNORE INTO tags VALUES (?, ?)", [(i, t) for i in ids for t in add])
            self.each("DELETE FROM tags WHERE asset_id = ? AND tag = ?", [(i, t) for i in ids for t in remove])

    def rate(self, number: int, rating: int) -> None:
        """Give 1 to 5 stars, or 0 for none. Raises UsageError."""
        if not 0 <= rating <= 5:
            raise UsageError(f"A rating is a number from 0 to 5, not {rating}.")
        self._update(number, {"rating": rating})

    def note(self, number: int, text: str) -> None:
        """Replace the notes of an asset. Raises UsageError for a text that is not valid Unicode."""
        if not is_utf8(text):
            raise UsageError("The note is not valid Unicode.", "Write it in UTF-8.")
        self._update(number, {"notes": text})

    def override(self, ids: Iterable[int], said: Mapping[str, str]) -> None:
        """What the user says a file is, kept apart from what its bytes say, and winning over it.

        `said`: kind, architecture or variant to the user's word; "" takes it back. Raises UsageError.
        """
        words = {name: _override(name, word) for name, word in said.items()}
        with self.atomic():
            for number in ids:
                row = self.rows("SELECT found, said FROM assets WHERE id = ?", [number]).fetchone()
                if row is None:
                    raise NotFoundError(f"There is no asset #{number}.", "List them with `modelhub ls`.")
                kept = {name: word for name, word in {**_parsed(row["said"]), **words}.items() if word}
                self._update(number, {**effective(_parsed(row["found"]), kept), "said": _written(kept)})

    def never_look_up(self, ids: Iterable[int], never: bool = True) -> None:
        """No provider is asked for these assets any more, or they are again, whatever sidecars say."""
        with self.atomic():
            self.each("UPDATE assets SET never_look_up = ? WHERE id = ?", [(1 if never else -1, i) for i in ids])

    # -- what a scan says ------------------------------------------------------------------------------------------

    def add_root(self, path: Path) -> None:
        """Remember a folder to scan."""
        with self.atomic():
            self.rows("INSERT OR IGNORE INTO roots VALUES (?, ?)", [str(path), time.time()])

    def remove_root(self, path: Path, *, dry_run: bool = False) -> None:
        """Scan a folder no more; what is known of its files stays. Raises NotFoundError for one that is not scanned."""
        if path not in self.roots():
            raise NotFoundError(f"{path} is not among the folders that are scanned.", "See `modelhub folders`.")
        if not dry_run:
            with self.atomic():
                self.rows("DELETE FROM roots WHERE path = ?", [str(path)])

    def record(self, path: Path, stat: FileStat, identity: Identity, rules: str, **columns: Any) -> int:
        """Insert or update the row of `path`, returning its id. What the user said stays; old hashes go.

        `columns` are further columns: title, recipe, parents, source, sidecar, sidecar_stamp, sidecar_words,
        problem, problem_code.
        """
        from modelhub.catalog.asset import identity_columns

        row = {**dict.fromkeys(_OPTIONAL), **identity_columns(identity), **columns}
        row |= {"name": path.name, "identified_by": rules, "missing": 0}
        select = "SELECT id, said, device, inode, size, modified FROM assets WHERE path = ?"
        with self.atomic():
            self.rows("DELETE FROM links WHERE path = ?", [str(path)])
            known = self.rows(select, [str(path)]).fetchone()
            if known is None:
                return self._insert({"path": str(path), "added": time.time(), **row, **_stat_columns(stat)})
            row |= effective(_parsed(row["found"]), _parsed(known["said"]))
            before = FileStat(*tuple(known)[2:])
            if before != stat._replace(device=before.device):  # disks get other numbers when they are plugged in again
                row |= {**dict.fromkeys(HASH_NAMES), "verified": None}
                self.rows("DELETE FROM samples WHERE asset_id = ?", [known["id"]])
            row |= _stat_columns(stat)
            self._update(known["id"], row)
            return int(known["id"])

    def move(self, paths: Mapping[int, Path]) -> None:
        """Files, by id, have other paths now; what the user said stays with them. They may have swapped their names."""
        with self.atomic():
            self.each("DELETE FROM links WHERE path = ?", [(str(path),) for path in paths.values()])
            for number in paths:
                self._update(number, {"path": f"\0{number}"})  # nobody's path, for a moment
            for number, path in paths.items():
                self._update(number, {"path": str(path), "name": path.name, "missing": 0})

    def follow(self, old: int, new: int) -> None:
        """The content of a missing asset was found again as a new one: the old asset goes on in its place."""
        with self.atomic():
            row = self._row(new)
            kept = {name: value for name, value in row.items() if name not in _OLD_ONES}
            self.absorb(old, new)
            mine = self._row(old)
            hashes = {name: mine[name] or row[name] for name in HASH_NAMES}
            says = effective(_parsed(row["found"]), _parsed(mine["said"]))
            self._update(old, {**kept, **hashes, **says, "missing": 0})

    def absorb(self, number: int, other: int) -> None:
        """`other` is the content of `number` under another path: words and links are joined to those of `number`."""
        with self.atomic():
            one, two = self._row(number), self._row(other)
            notes = "\n".join(dict.fromkeys(text for text in (one["notes"], two["notes"]) if text))
            said = {**_parsed(two["said"]), **_parsed(one["said"])}
            says = effective(_parsed(one["found"]), said)
            self.rows("INSERT OR IGNORE INTO tags SELECT ?, tag FROM tags WHERE asset_id = ?", [number, other])
            self.rows("UPDATE links SET asset_id = ? WHERE asset_id = ?", [number, other])
            self.remove([other])
            rating = max(one["rating"], two["rating"])
            wishes = {one["never_look_up"], two["never_look_up"]}
            never = 1 if 1 in wishes else min(wishes)
            words = {"rating": rating, "notes": notes, "said": _written(said), "never_look_up": never}
            self._update(number, {**words, **says})

    def set_links(self, links: Mapping[str, int], gone: Iterable[str] = ()) -> None:
        """Paths that are links to the contents of assets, and paths that no longer are."""
        with self.atomic():
            self.each("DELETE FROM links WHERE path = ?", [(path,) for path in gone])
            self.each("INSERT OR REPLACE INTO links VALUES (?, ?)", list(links.items()))

    def set_stat(self, number: int, stat: FileStat) -> None:
        """The same content lies in another file now, as after a move to another disk."""
        self._update(number, _stat_columns(stat))

    def set_verified(self, number: int, at: float) -> None:
        """The bytes were read, and are those that were hashed; rot is no longer what is wrong with them."""
        self._update(number, {"verified": at})
        with self.atomic():
            rot = "UPDATE assets SET problem = NULL, problem_code = NULL WHERE id = ? AND problem_code = 'bit-rot'"
            self.rows(rot, [number])

    def set_problem(self, number: int, code: str, problem: str) -> None:
        """What is wrong with the file of an asset."""
        self._update(number, {"problem_code": code, "problem": problem})

    def set_trashed(self, number: int, entry: int | None, path: Path) -> None:
        """The asset is in the trash, by an entry of the journal, or back from it; its file is at `path` now."""
        self._update(number, {"trashed": entry, "path": str(path), "name": path.name})

    def remove(self, ids: Iterable[int]) -> None:
        """Forget assets: rows, tags, notes, ratings. Files are not touched."""
        with self.atomic():
            self.rows(_KEEP_HIGHEST)
            self.each("DELETE FROM assets WHERE id = ?", [(number,) for number in ids])

    def put_back(self, whole: Mapping[str, Any]) -> int:
        """Bring back an asset that was removed, as `whole` gave it; returns its id, a new one if another has the old.

        Raises FileError when another asset has its path.
        """
        row = dict(whole["row"])
        with self.atomic():
            if self.assets([row["id"]]):
                del row["id"]
            number = self._insert(row)
            self.each("INSERT INTO tags VALUES (?, ?)", [(number, tag) for tag in whole["tags"]])
            self.each("INSERT OR IGNORE INTO links VALUES (?, ?)", [(path, number) for path in whole["links"]])
        return number

    def set_missing(self, ids: Iterable[int], missing: bool = True) -> None:
        """The files are gone (or back); their rows stay."""
        with self.atomic():
            self.each("UPDATE assets SET missing = ? WHERE id = ?", [(int(missing), i) for i in ids])

    def set_hashes(self, number: int, hashes: Hashes, stat: FileStat | None = None) -> bool:
        """Store digests; None leaves what is there. With `stat`, only if the asset still is what was hashed."""
        with self.atomic():
            there = self.rows("SELECT device, inode, size, modified FROM assets WHERE id = ?", [number]).fetchone()
            if stat is not None and (there is None or FileStat(*there) != stat):
                return False
            self._update(number, {name: value for name, value in hashes.as_dict().items() if value is not None})
            return True

    def set_sample(self, number: int, made_by: str, data: bytes) -> None:
        """A few numbers of a content, kept until the file changes; `made_by` says how they were chosen."""
        with self.atomic():
            self.rows("INSERT OR REPLACE INTO samples VALUES (?, ?, ?)", [number, made_by, data])

    def _row(self, number: int) -> dict[str, Any]:
        row = self.rows("SELECT * FROM assets WHERE id = ?", [number]).fetchone()
        if row is None:
            raise NotFoundError(f"There is no asset #{number}.", "List them with `modelhub ls`.")
        return dict(row)

    def _insert(self, row: dict[str, Any]) -> int:
        row = {"id": self.rows(_NEXT).fetchone()[0], **row}
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        cursor = self.rows(f"INSERT INTO assets ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608
        return int(cursor.lastrowid or 0)

    def _update(self, number: int, row: dict[str, Any]) -> None:
        if not row:
            return
        names = ", ".join(f"{name} = ?" for name in row)
        with self.atomic():
            done = self.rows(f"UPDATE assets SET {names} WHERE id = ?", [*row.values(), number])  # noqa: S608
        if done.rowcount == 0:
            raise NotFoundError(f"There is no asset #{number}.", "List them with `modelhub ls`.")


#: The journal names assets by id: one that was given is never given again.
_HIGHEST = (
    "max(coalesce((SELECT max(id) FROM assets), 0), coalesce((SELECT value FROM numbers WHERE name = 'asset'), 0))"
)
_NEXT = f"SELECT {_HIGHEST} + 1"
_KEEP_HIGHEST = f"INSERT OR REPLACE INTO numbers VALUES ('asset', {_HIGHEST})"  # noqa: S608
#: What an asset keeps when its content is found again in another file.
_OLD_ONES = {"id", "added", "rating", "notes", "said", "kind", "architecture", "variant", "verified", "trashed"}
_OLD_ONES |= {*HASH_NAMES, "never_look_up"}
_OPTIONAL = ("problem", "problem_code", "title", "recipe", "source", "parents")


def _override(name: str, word: str) -> str:
    """The user's word for kind, architecture or variant, checked."""
    word = word.strip().lower()
    if name not in ("kind", "architecture", "variant"):
        raise UsageError(f"'{name}' cannot be set.", "Set kind, architecture or variant.")
    if name == "kind" and word and word not in KINDS:
        from modelhub.text import meant

        raise UsageError(f"There is no kind '{word}'{meant(word, KINDS)}.", f"Kinds are: {', '.join(KINDS)}.")
    if word and not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,40}", word):
        raise UsageError(f"{word[:100]!r} cannot be {name}.", "Use a short word such as sdxl.")
    return word


def _parsed(text: str) -> dict[str, Any]:
    import json  # not needed by a scan that finds nothing new

    found: dict[str, Any] = json.loads(text)
    return found


def _written(value: Mapping[str, Any]) -> str:
    import json

    return json.dumps(value)


def _stat_columns(stat: FileStat) -> dict[str, int]:
    return {"device": stat.device, "inode": stat.inode, "size": stat.size, "modified": stat.modified}


def _tag(word: str) -> str:
    word = word.strip()
    if not word or len(word) > 100 or not word.isprintable():
        raise UsageError(f"{word[:100]!r} cannot be a tag.", "A tag is 1 to 100 printable characters.")
    return word
