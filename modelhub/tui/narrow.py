"""Narrowing a query from the sidebar: put `field:value` terms in, in place of those of the same fields."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelhub.tui.library import term

_TERM = r'(?<![^\s(])-?(?:{names}):(?:"(?:[^"\\]|\\.)*"|[^\s()"]*)'


def narrow(query: str, terms: Mapping[str, str | None]) -> str:
    """`query` with `terms` (field to value, None: take it out); a query with OR is put in parentheses first.

    Putting in what is there already takes it out: a second click on a tag shows everything again.
    """
    wanted = " ".join(term(field, value) for field, value in terms.items() if value is not None)
    rest = _without(query, terms)
    if wanted and " ".join(_found(query, terms)) == wanted:
        return rest
    if wanted and re.search(r"(?<!\S)OR(?!\S)", rest) and not _wrapped(rest):
        rest = f"({rest})"
    return " ".join(part for part in (rest, wanted) if part)


def _found(query: str, terms: Mapping[str, str | None]) -> list[str]:
    return [match.group() for match in _pattern(terms).finditer(query)]


def _without(query: str, terms: Mapping[str, str | None]) -> str:
    """The query without terms of these fields; as it is when they stand inside of parentheses or beside OR."""
    if re.search(r"(?<!\S)OR(?!\S)|[()]", _pattern({"\\w+": None}).sub("", query)):
        whole = re.fullmatch(rf"(.*?)((?:\s+{_pattern(terms).pattern})+)\s*", query)
        return whole[1].strip() if whole else query.strip()
    return " ".join(_pattern(terms).sub("", query).split())


def _pattern(terms: Mapping[str, str | None]) -> re.Pattern[str]:
    return re.compile(_TERM.format(names="|".join(terms)))


def _wrapped(query: str) -> bool:
    """Whether one pair of parentheses holds the whole query, or OR stands in parentheses only."""
    depth = 0
    for word in re.findall(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()"]+', query):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == "OR":
            return False
    return True
