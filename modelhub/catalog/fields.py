"""The fields of the query language: what each compares, and the SQL it becomes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from modelhub.catalog.columns import LINEAGE, NEVER_LOOK_UP, Condition, declared, escape_like
from modelhub.catalog.kinds import KINDS
from modelhub.text import meant

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_COMPARISON = re.compile(r"(>=|<=|>|<|=)?\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_YES = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}


def _like(text: str) -> str:
    """A LIKE pattern in which `*` stands for anything."""
    return escape_like(text).replace("*", "%")


def _exact(column: str) -> Callable[[str], Condition]:
    """Equal, ignoring case; `*` stands for anything, `none` for no value."""

    def build(value: str) -> Condition:
        if value.lower() == "none":
            return Condition(f"{column} IS NULL", ())
        return Condition(f"coalesce({column}, '') LIKE ? ESCAPE '\\'", (_like(value),))

    return build


def _kind(value: str) -> Condition:
    """One of the kinds that there are; another word is a slip of the pen."""
    if "*" not in value and value.lower() not in KINDS:
        raise ValueError(f"there is no kind '{value}'{meant(value, KINDS)}")
    return _exact("kind")(value)


def _number(column: str, units: dict[str, int]) -> Callable[[str], Condition]:
    """Compared with >, >=, <, <=, = (none means =)."""

    def build(value: str) -> Condition:
        match = _COMPARISON.fullmatch(value)
        if match is None or match[3].lower() not in units:
            raise ValueError(
                "this must be a number such as >=4, >2GB or <500MB"
                if len(units) > 1
                else "this must be a number such as >=4"
            )
        number = float(match[2]) * units[match[3].lower()]
        return Condition(f"{column} {match[1] or '='} ?", (number,))

    return build


def _flag(sql: str) -> Callable[[str], Condition]:
    def build(value: str) -> Condition:
        if value.lower() not in _YES:
            raise ValueError("this must be yes or no")
        return Condition(sql if _YES[value.lower()] else f"NOT ({sql})", ())

    return build


_DAY = 86_400
_WHEN = re.compile(r"(>=|<=|>|<|=)?\s*(?:(\d{4}-\d{2}-\d{2})|(\d{1,5})([dwmy]))")
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


def _when(column: str) -> Callable[[str], Condition]:
    """A day, 2026-01-31, compared as numbers are; or an age, 7d, 2w, 3m, 1y: within it, `>` before it."""

    def build(value: str) -> Condition:
        match = _WHEN.fullmatch(value.lower())
        if match is None:
            raise ValueError("this must be a day such as >=2026-01-31, or an age such as 7d, 2w, 3m, 1y")
        if match[2] is None:
            sign = "<" if (match[1] or "").startswith(">") else ">="
            return Condition(f"{column} {sign} ?", (time.time() - int(match[3]) * _DAYS[match[4]] * _DAY,))
        begin = _midnight(match[2])
        bounds = {">=": (f"{column} >= ?", begin), ">": (f"{column} >= ?", begin + _DAY), "<": (f"{column} < ?", begin)}
        bounds["<="] = (f"{column} < ?", begin + _DAY)
        if (match[1] or "=") == "=":
            return Condition(f"{column} >= ? AND {column} < ?", (begin, begin + _DAY))
        sql, at = bounds[match[1]]
        return Condition(sql, (at,))

    return build


def _midnight(day: str) -> float:
    try:
        return time.mktime(time.strptime(day, "%Y-%m-%d"))
    except (ValueError, OverflowError):
        raise ValueError(f"{day} is not a day of the calendar") from None


def _declared(key: str) -> Callable[[str], Condition]:
    """A value that a sidecar tells, else a provider; `*` stands for anything, `none` for no value."""
    return _exact(declared(key))


def _trigger(value: str) -> Condition:
    """Contained anywhere in the words that the file or a sidecar tells; where none does, in those of providers."""
    own, like = _part("trigger_words")(value), f"%{_like(value)}%"
    said = "json_extract(facts, '$.trigger_words') LIKE ? ESCAPE '\\'"
    theirs = f"trigger_words = '[]' AND {_DIGEST} IN (SELECT sha256 FROM lookups WHERE {said})"  # noqa: S608
    return Condition(f"({own.sql}) OR ({theirs})", (*own.parameters, like))


#: Comparable also where there is none.
_DIGEST = "coalesce(sha256, '')"
_HAS_ANSWER = f"{_DIGEST} IN (SELECT sha256 FROM lookups)"  # noqa: S608
_IS_KNOWN = f"{_DIGEST} IN (SELECT sha256 FROM lookups WHERE found)"  # noqa: S608
#: What may be asked about looking up, and the SQL that says so.
_LOOKED_UP = {
    "never": NEVER_LOOK_UP,
    "known": _IS_KNOWN,
    "unknown": f"{_HAS_ANSWER} AND NOT {_IS_KNOWN}",
    "none": f"NOT {_HAS_ANSWER}",
}


def _looked_up(value: str) -> Condition:
    """never: nobody is asked; known or unknown: what a provider answered; none: nobody was asked yet."""
    if value.lower() not in _LOOKED_UP:
        raise ValueError(f"this must be one of {', '.join(_LOOKED_UP)}")
    return Condition(_LOOKED_UP[value.lower()], ())


def _provider(value: str) -> Condition:
    """A provider that knows the content; `none` for no one."""
    if value.lower() == "none":
        return Condition(f"NOT {_IS_KNOWN}", ())
    known = "SELECT sha256 FROM lookups WHERE found AND provider LIKE ? ESCAPE '\\'"
    return Condition(f"{_DIGEST} IN ({known})", (_like(value),))


def _tag(value: str) -> Condition:
    if value.lower() == "none":
        return Condition("NOT EXISTS (SELECT 1 FROM tags WHERE asset_id = assets.id)", ())
    return Condition("assets.id IN (SELECT asset_id FROM tags WHERE tag LIKE ? ESCAPE '\\')", (_like(value),))


def _part(column: str) -> Callable[[str], Condition]:
    """Contained anywhere, ignoring case."""
    return lambda value: Condition(f"{column} LIKE ? ESCAPE '\\'", (f"%{_like(value)}%",))


def _hash(value: str) -> Condition:
    if not re.fullmatch(r"[0-9a-fA-F]{4,64}", value):
        raise ValueError("a hash has at least 4 hexadecimal digits")
    names = ("sha256", "blake3", "crc32", "autov1", "autov3")
    return Condition(" OR ".join(f"coalesce({name}, '') LIKE ?" for name in names), (f"{value.lower()}%",) * len(names))


def _from(value: str) -> Condition:
    """Merges that a model went into, near or far, by digits of its SHA256 or by its name; `*` stands for anything."""
    by_hash = re.fullmatch(r"[0-9a-fA-F]{6,64}", value)
    one = "SELECT 1 FROM json_each(assets.parents) AS one WHERE "
    like = "json_extract(one.value, '$[2]') LIKE ? ESCAPE '\\'"
    stem = _like(re.sub(r"\.(safetensors|sft|ckpt|pth?|bin|gguf)$", "", value, flags=re.IGNORECASE))
    values: tuple[str, ...] = (stem, f"{stem}.%")
    where = f"{like} OR {like}"
    if by_hash:
        where, values = f"json_extract(one.value, '$[0]') LIKE ? OR {where}", (f"{value.lower()}%", *values)
    return Condition(f"parents IS NOT NULL AND EXISTS ({one}{where})", values)


def _word(value: str) -> Condition:
    """Anywhere in path, title, trigger words, notes and tags: by the trigram index from three characters on."""
    if len(value) >= 3:
        quoted = '"' + value.replace('"', '""') + '"'
        return Condition("assets.id IN (SELECT rowid FROM words WHERE words MATCH ?)", (quoted,))
    if value == "*":
        return Condition("1", ())
    return Condition("name LIKE ? ESCAPE '\\' OR coalesce(title, '') LIKE ? ESCAPE '\\'", (f"%{_like(value)}%",) * 2)


#: Field name to the function that compiles its value; ValueError says what is wrong with the value.
FIELDS: dict[str, Callable[[str], Condition]] = {
    "kind": _kind,
    "type": _kind,
    "arch": _exact("architecture"),
    "architecture": _exact("architecture"),
    "variant": _exact("variant"),
    "format": _exact("format"),
    "layout": _exact("layout"),
    "prediction": _exact("prediction"),
    "confidence": _exact("nullif(confidence, 'none')"),
    "dtype": _exact("dtype"),
    "lineage": _exact(LINEAGE),
    "base": _declared("base_model"),
    "creator": _declared("creator"),
    "provider": _provider,
    "lookup": _looked_up,
    "algorithm": _part("json_extract(adapter, '$.algorithm')"),
    "quantisation": _part("json_extract(facts, '$.quantisation')"),
    "tag": _tag,
    "name": _part("name"),
    "path": _part("path"),
    "notes": _part("notes"),
    "trigger": _trigger,
    "hash": _hash,
    "size": _number("size", _UNITS),
    "params": _number("coalesce(parameters, 0)", {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}),
    "rating": _number("rating", {"": 1}),
    "id": _number("assets.id", {"": 1}),
    "added": _when("added"),
    "modified": _when("modified / 1000000000.0"),
    "fingerprint": _exact("fingerprint"),
    "missing": _flag("missing"),
    "override": _flag("said <> '{}'"),
    "verified": _flag("verified IS NOT NULL"),
    "sidecar": _flag("sidecar <> '{}'"),
    "linked": _flag("EXISTS (SELECT 1 FROM links WHERE asset_id = assets.id)"),
    "hashed": _flag("sha256 IS NOT NULL"),
    "merged": _flag("recipe IS NOT NULL OR parents IS NOT NULL"),
    "from": _from,
    "problem": _flag("problem IS NOT NULL"),
}


def condition(field: str, value: str) -> Condition:
    """The condition of `field:value`, or of a bare word when `field` is empty. Raises ValueError with the reason."""
    if not value:
        raise ValueError(f"'{field}:' needs a value" if field else "an empty word finds nothing")
    return FIELDS[field](value) if field else _word(value)
