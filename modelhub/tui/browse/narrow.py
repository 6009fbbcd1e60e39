"""Narrowing a query from the sidebar: `field:value` terms go in, in place of those of their fields, or beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from modelhub.tui.library import term

#: How terms go in: alone of their fields, beside what is there, or as what must not be.
Way = Literal["only", "also", "not"]

_VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^\s()"]*)'
_BEFORE = r"(?<![^\s(])"
_SAME = {"type": "kind", "architecture": "arch"}


def narrow(query: str, terms: Mapping[str, str | None], way: Way = "only") -> str:
    """`query` with `terms` (field to value, None: take it out); a query with OR is put in parentheses first.

    Putting in what is there already takes it out: a second click on a tag shows everything again.
    """
    minus = "-" * (way == "not")
    wanted = " ".join(minus + term(field, value) for field, value in terms.items() if value is not None)
    mine = _fields(terms) if way == "only" else _exactly(terms, minus)
    there = " ".join(match.group() for match in mine.finditer(query)) == wanted
    rest = _without(query, _fields(terms) if way == "only" else _exactly(terms, "-?"))
    if wanted and there:
        return rest
    if wanted and re.search(r"(?<!\S)OR(?!\S)", rest) and not _wrapped(rest):
        rest = f"({rest})"
    return " ".join(part for part in (rest, wanted) if part)


def terms_in(query: str) -> frozenset[tuple[str, str]]:
    """The fields and values that a query asks for; those behind a minus are not among them."""
    found = re.finditer(rf'"(?:[^"\\]|\\.)*"|{_BEFORE}(-?)(\w[\w-]*):({_VALUE})', query)
    return frozenset(
        (_SAME.get(match[2].lower(), match[2].lower()), _bare(match[3]))
        for match in found
        if match[2] is not None and not match[1]
    )


def _bare(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _fields(terms: Mapping[str, str | None]) -> re.Pattern[str]:
    """Terms of these fields, whatever their values are."""
    return re.compile(rf"{_BEFORE}-?(?:{'|'.join(terms)}):{_VALUE}")


def _exactly(terms: Mapping[str, str | None], minus: str) -> re.Pattern[str]:
    """These very terms."""
    words = (re.escape(term(field, value)) for field, value in terms.items() if value is not None)
    return re.compile(rf"{_BEFORE}{minus}(?:{'|'.join(words)})(?![^\s)])")


def _without(query: str, gone: re.Pattern[str]) -> str:
    """The query without these terms; as it is when they stand inside of parentheses or beside OR."""
    if re.search(r"(?<!\S)OR(?!\S)|[()]", re.sub(rf"{_BEFORE}-?\w+:{_VALUE}", "", query)):
        whole = re.fullmatch(rf"(.*?)((?:\s+{gone.pattern})+)\s*", query)
        return whole[1].strip() if whole else query.strip()
    return " ".join(gone.sub("", query).split())


def _wrapped(query: str) -> bool:
    """Whether one pair of parentheses holds the whole query, or OR stands in parentheses only."""
    depth = 0
    for word in re.findall(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()"]+', query):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == "OR":
            return False
    return True
