"""Downloads: the rows of what waits, runs, rests, failed or is done; they survive a restart, and processes share them.

A row is begun by one UPDATE that names the states it may begin from, so that no two processes begin the same.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelhub.catalog.database import CatalogFile
from modelhub.errors import ModelhubError, NotFoundError
from modelhub.text import printable

STATES = ("waiting", "running", "paused", "failed", "done")
#: Rows of these states are run by whoever runs the queue.
TO_RUN = ("waiting", "running")
#: Seconds between two rows that were added at once.
_STEP = 1e-5
#: Rows of these states are not done.
_OPEN = (*TO_RUN, "paused", "failed")


@dataclass(frozen=True, slots=True)
class Download:
    """One row: `plan` is the order as plain values, `goal` its path, `done` how many bytes of `size` are there.

    `added` and `changed` are seconds since 1970; the queue is in the order of `added`, which `swap` exchanges. `code`,
    `message` and `hint` are those of the last error.
    """

    id: int
    added: float
    changed: float
    state: str
    plan: dict[str, Any]
    title: str
    goal: str
    size: int | None
    done: int
    sha256: str | None
    code: str | None
    message: str | None
    hint: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the error as the command line's contract has it."""
        names = ("id", "added", "changed", "state", "title", "size", "done", "sha256")
        error = {"code": self.code, "message": self.message, "hint": self.hint} if self.code else None
        source = self.plan.get("source")
        return {**{name: getattr(self, name) for name in names}, "path": self.goal, "source": source, "error": error}

    @property
    def error(self) -> ModelhubError | None:
        """The last error, of the class that it had."""
        if self.code is None:
            return None
        return _class_of(self.code)(self.message or "", self.hint or "")


def add(catalog: CatalogFile, plan: Mapping[str, Any], title: str, size: int | None, sha256: str | None) -> int:
    """Add a waiting row for an order that has a `goal`; returns its id. One that is there already waits again."""
    text, goal = json.dumps(plan), str(plan["goal"])
    with catalog.atomic():
        now = _after_all(catalog)
        for row in catalog.rows("SELECT * FROM downloads WHERE goal = ? AND state <> 'done'", [goal]).fetchall():
            if asks_the_same(json.loads(row["plan"]), json.loads(text)):
                _again(catalog, row, text)
                return int(row["id"])
        values = [now, now, text, printable(title), goal, size, sha256]
        sql = (
            "INSERT INTO downloads (added, changed, state, plan, title, goal, size, sha256) "
            "VALUES (?, ?, 'waiting', ?, ?, ?, ?, ?)"
        )
        return int(catalog.rows(sql, values).lastrowid or 0)


def listed(catalog: CatalogFile, states: Iterable[str] = STATES, ids: Sequence[int] | None = None) -> list[Download]:
    """The rows of these states in the order of the queue; only those of `ids`, if given."""
    words = list(states)
    sql = f"SELECT * FROM downloads WHERE state IN ({_marks(words)})"  # noqa: S608
    wanted = None if ids is None else set(ids)
    rows = catalog.rows(f"{sql} ORDER BY added, id", words)
    return [_download(row) for row in rows if wanted is None or row["id"] in wanted]


@dataclass(frozen=True, slots=True)
class Glance:
    """What a list shows of a row: all but its plan, of which a row that failed tells the `provider`."""

    id: int
    changed: float
    state: str
    title: str
    goal: str
    size: int | None
    done: int
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    provider: str | None = None


def glances(catalog: CatalogFile) -> list[Glance]:
    """All rows in the order of the queue, at little cost however long their plans are."""
    return [Glance(**dict(row)) for row in catalog.rows(_GLANCES)]


_GLANCES = """
SELECT id, changed, state, title, goal, size, done, code, message, hint,
    CASE state WHEN 'failed' THEN json_extract(plan, '$.provider') END AS provider
FROM downloads ORDER BY added, id
"""


def swap(catalog: CatalogFile, one: int, other: int) -> bool:
    """Exchange the places of two rows in the queue; False if one of them is gone."""
    with catalog.atomic():
        rows = catalog.rows("SELECT id, added FROM downloads WHERE id IN (?, ?) ORDER BY added, id", [one, other])
        places = [(row["id"], row["added"]) for row in rows.fetchall()]
        if len(places) != 2:
            return False
        (first, early), (second, late) = places
        late = late if late > early else early + _STEP
        catalog.each("UPDATE downloads SET added = ? WHERE id = ?", [(late, first), (early, second)])
        return True


def open_ids(catalog: CatalogFile, ids: Sequence[int] | None = None) -> dict[int, str | None]:
    """Id to SHA256 of what waits or runs, in the order of the queue; only those of `ids`, if given."""
    rows = catalog.rows("SELECT id, sha256 FROM downloads WHERE state IN ('waiting', 'running') ORDER BY added, id")
    wanted = None if ids is None else set(ids)
    return {row["id"]: row["sha256"] for row in rows if wanted is None or row["id"] in wanted}


def get(catalog: CatalogFile, number: int) -> Download:
    """The row of an id. Raises NotFoundError."""
    row = catalog.rows("SELECT * FROM downloads WHERE id = ?", [number]).fetchone()
    if row is None:
        raise NotFoundError(f"There is no download {number}.", "List them with `modelhub queue list`.")
    return _download(row)


def states(catalog: CatalogFile, ids: Iterable[int]) -> dict[int, str]:
    """Id to state of the rows that are there."""
    wanted = list(ids)
    rows = catalog.rows(f"SELECT id, state FROM downloads WHERE id IN ({_marks(wanted)})", wanted)  # noqa: S608
    return {row["id"]: row["state"] for row in rows}


def begin(catalog: CatalogFile, number: int) -> Download | None:
    """The row, begun: it waited, or it ran in a process that is gone, as the caller has made sure. None for another."""
    with catalog.atomic():
        begun = _set(catalog, number, "running", TO_RUN, code=None, message=None, hint=None)
        return get(catalog, number) if begun else None


def wait_again(catalog: CatalogFile, number: int) -> bool:
    """The download was stopped and waits; false if it is paused or gone meanwhile."""
    return _set(catalog, number, "waiting", ("running", "waiting"))


def finish(catalog: CatalogFile, number: int, goal: str, size: int, sha256: str | None) -> None:
    """The download is done: the path where it is, its size in bytes, its SHA256. Of its plan the short part stays."""
    values = {"goal": goal, "size": size, "done": size, "sha256": sha256, "code": None, "message": None, "hint": None}
    with catalog.atomic():
        if _set(catalog, number, "done", STATES, **values):
            short = "json_set(plan, '$.raw', json('{}'), '$.facts', json('{}'))"
            catalog.rows(f"UPDATE downloads SET plan = {short} WHERE id = ?", [number])  # noqa: S608


def fail(catalog: CatalogFile, number: int, error: ModelhubError) -> None:
    """The download failed; a row that was paused meanwhile is failed all the same."""
    _set(catalog, number, "failed", (*TO_RUN, "paused"), **error.as_dict())


def progress(catalog: CatalogFile, done: Mapping[int, int]) -> None:
    """How many bytes are there, by id; also the sign that the process of a running row lives."""
    with catalog.atomic():
        now = time.time()
        sql = "UPDATE downloads SET done = ?, changed = ? WHERE id = ? AND state IN ('running', 'waiting', 'paused')"
        catalog.each(sql, [(count, now, number) for number, count in done.items()])


def pause(catalog: CatalogFile, ids: Iterable[int] | None = None) -> list[int]:
    """Rest: what waits or runs is paused; returns the ids. All of them without `ids`."""
    return _move(catalog, ids, TO_RUN, "paused")


def resume(catalog: CatalogFile, ids: Iterable[int] | None = None) -> list[int]:
    """What was paused waits again; returns the ids."""
    return _move(catalog, ids, ("paused",), "waiting")


def retry(catalog: CatalogFile, ids: Iterable[int] | None = None) -> list[int]:
    """What failed waits again; returns the ids."""
    return _move(catalog, ids, ("failed",), "waiting")


def remove(catalog: CatalogFile, ids: Iterable[int]) -> list[Download]:
    """Forget rows; returns what they were."""
    with catalog.atomic():
        gone = listed(catalog, ids=list(ids))
        catalog.each("DELETE FROM downloads WHERE id = ?", [(one.id,) for one in gone])
    return gone


def clear(catalog: CatalogFile) -> int:
    """Forget what is done; returns how many rows that were."""
    with catalog.atomic():
        return catalog.rows("DELETE FROM downloads WHERE state = 'done'").rowcount


def open_goals(catalog: CatalogFile) -> dict[str, Download]:
    """Path to the row of every download that is not done."""
    return {one.goal: one for one in listed(catalog, _OPEN)}


def _after_all(catalog: CatalogFile) -> float:
    """Now, or as little later as puts a row behind all others, where a clock was set back."""
    last = catalog.rows("SELECT max(added) FROM downloads").fetchone()[0]
    return max(time.time(), (last or 0.0) + _STEP)


def _again(catalog: CatalogFile, row: sqlite3.Row, plan: str) -> None:
    """The row of an order that was given once more: it waits, with the newer plan, unless it runs."""
    if row["state"] != "running":
        sql = "UPDATE downloads SET state = 'waiting', plan = ?, changed = ?, code = NULL, message = NULL, hint = NULL"
        catalog.rows(f"{sql} WHERE id = ?", [plan, time.time(), row["id"]])


def asks_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two orders for one goal are for the same bytes."""
    return [_of_file(file) for file in one["files"]] == [_of_file(file) for file in other["files"]]


def _of_file(file: Mapping[str, Any]) -> tuple[Any, ...]:
    sha256 = file.get("hashes", {}).get("sha256")
    return (file.get("path"), sha256 or file["url"], file.get("size") if file.get("exact") else None)


def _move(catalog: CatalogFile, ids: Iterable[int] | None, before: Sequence[str], after: str) -> list[int]:
    with catalog.atomic():
        found = [one.id for one in listed(catalog, before, None if ids is None else list(ids))]
        sql = "UPDATE downloads SET state = ?, changed = ? WHERE id = ?"
        catalog.each(sql, [(after, time.time(), number) for number in found])
    return found


def _set(catalog: CatalogFile, number: int, state: str, before: Sequence[str], **values: Any) -> bool:
    """Whether the row was in one of the states `before`, and so is in `state` now."""
    columns = {"state": state, "changed": time.time(), **values}
    names = ", ".join(f"{name} = ?" for name in columns)
    sql = f"UPDATE downloads SET {names} WHERE id = ? AND state IN ({_marks(before)})"  # noqa: S608
    with catalog.atomic():
        return catalog.rows(sql, [*columns.values(), number, *before]).rowcount == 1


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _class_of(code: str) -> type[ModelhubError]:
    """The class of an error by its code; one of an older or newer modelhub is any error."""
    waiting = [ModelhubError]
    while waiting:
        one = waiting.pop()
        if one.code == code:
            return one
        waiting += one.__subclasses__()
    return ModelhubError


def _download(row: sqlite3.Row) -> Download:
    plain = {name: row[name] for name in row.keys() if name != "plan"}  # noqa: SIM118 (of a row, not of a table)
    return Download(**plain, plan=json.loads(row["plan"]))
