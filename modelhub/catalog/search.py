"""The query language: words and `field:value` conditions, read into a tree and compiled to SQL.

    kind:lora arch:sdxl tag:anime size:>2GB rating:>=4 -tag:nsfw "two words" (dtype:fp16 OR dtype:bf16)

Terms side by side are joined by AND. A mistake is shown with a caret under it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from modelhub.catalog.columns import ALWAYS, Condition
from modelhub.catalog.fields import FIELDS, condition
from modelhub.catalog.kinds import KINDS
from modelhub.errors import BadQueryError
from modelhub.text import meant

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\() | (?P<close>\)) |
        (?P<minus>-)(?=[^\s)]) |
        (?P<field>[A-Za-z_][\w-]*):(?P<value>"(?:[^"\\]|\\.)*"|[^\s()"]+)? |
        (?P<quoted>"(?:[^"\\]|\\.)*") |
        (?P<word>[^\s()"]+) |
        (?P<bad>.)
    )""",
    re.VERBOSE | re.DOTALL,
)

#: What every build of SQLite can take: it limits the length of patterns, the terms of a condition, and its depth.
_MAX_LENGTH, _MAX_TOKENS, _MAX_DEPTH = 10_000, 500, 15


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    value: str = ""


def compile_query(text: str) -> Condition:
    """The SQL condition on `assets` that `text` stands for, with its parameters. Raises BadQueryError with a caret."""
    tokens = _tokens(text)
    if not tokens:
        return ALWAYS
    parser = _Parser(text, tokens)
    found = parser.either()
    if parser.rest:
        raise _mistake(text, parser.rest[0].at, "this parenthesis closes nothing")
    return found


def _tokens(text: str) -> list[_Token]:
    if len(text) > _MAX_LENGTH:
        raise BadQueryError(f"The search has {len(text)} characters; {_MAX_LENGTH} are allowed.", "Shorten it.")
    for at, char in enumerate(text):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise _mistake(text, at, "this character cannot be in a text")
    found = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            break
        found.append(_token(text, match))
        position = match.end()
        if len(found) > _MAX_TOKENS:
            raise _mistake(text, found[-1].at, f"it has more than {_MAX_TOKENS} words and signs")
    return found


def _token(text: str, match: re.Match[str]) -> _Token:
    for kind in ("open", "close", "minus", "quoted", "word", "bad"):
        if match.group(kind) is not None:
            at = match.start(kind)
            if kind == "bad":
                raise _mistake(text, at, "this quote is never closed")
            return _Token(kind, match.group(kind), at)
    return _Token("field", match.group("field"), match.start("field"), match.group("value") or "")


_SIGNS = 'Words and field:value stand side by side; -word means not, (a OR b) either, "two words" a phrase.'


def _mistake(text: str, at: int, what: str, hint: str = _SIGNS) -> BadQueryError:
    line = text.replace("\n", " ").replace("\t", " ")
    return BadQueryError(f"The search cannot be read: {what}.\n  {line}\n  {' ' * at}^", hint)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


class _Parser:
    """Recursive descent over the tokens: either := both (OR both)*; both := one+; one := -one | (either) | term."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.rest = text, tokens
        self._depth = 0

    def either(self) -> Condition:
        """Alternatives joined by OR."""
        parts = [self._both()]
        while self._at_word("OR"):
            at = self.rest.pop(0).at
            if not self.rest or self.rest[0].kind == "close":
                raise _mistake(self.text, at, "nothing follows this OR")
            parts.append(self._both())
        return _join(parts, " OR ")

    def _both(self) -> Condition:
        parts = [self._one()]
        while self.rest and self.rest[0].kind != "close" and not self._at_word("OR"):
            if self._at_word("AND"):
                at = self.rest.pop(0).at
                if not self.rest:
                    raise _mistake(self.text, at, "nothing follows this AND")
            parts.append(self._one())
        return _join(parts, " AND ")

    def _at_word(self, word: str) -> bool:
        return bool(self.rest) and self.rest[0].kind == "word" and self.rest[0].text == word

    def _one(self) -> Condition:
        token = self.rest.pop(0)
        if token.kind == "minus":
            if not self.rest:
                raise _mistake(self.text, token.at, "nothing follows this minus")
            self._deeper(token)
            inner = self._one()
            self._depth -= 1
            return Condition(f"NOT ({inner.sql})", inner.parameters)
        if token.kind == "open":
            return self._group(token)
        if token.kind == "close":
            raise _mistake(self.text, token.at, "this parenthesis closes nothing")
        if token.kind == "word" and token.text in ("OR", "AND"):
            raise _mistake(self.text, token.at, f"nothing stands before this {token.text}")
        return self._term(token)

    def _deeper(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _mistake(self.text, token.at, "it is nested too deeply")

    def _group(self, token: _Token) -> Condition:
        self._deeper(token)
        if not self.rest:
            raise _mistake(self.text, token.at, "this parenthesis is never closed")
        inner = self.either()
        if not self.rest:
            raise _mistake(self.text, token.at, "this parenthesis is never closed")
        self.rest.pop(0)
        self._depth -= 1
        return inner

    def _term(self, token: _Token) -> Condition:
        field = token.text if token.kind == "field" else ""
        if field and field.lower() not in FIELDS:
            what = f"there is no field '{field}'{meant(field, FIELDS)}"
            raise _mistake(self.text, token.at, what, f"Fields are: {', '.join(FIELDS)}.")
        value = _unquote(token.value if field else token.text)
        try:
            return condition(field.lower(), value)
        except ValueError as error:
            at = token.at + (len(field) + 1 if field else 0)
            kinds = f"Kinds are: {', '.join(KINDS)}." if field.lower() in ("kind", "type") else _SIGNS
            raise _mistake(self.text, at, str(error), kinds) from None


def _join(parts: list[Condition], word: str) -> Condition:
    if len(parts) == 1:
        return parts[0]
    sql = word.join(f"({part.sql})" for part in parts)
    return Condition(sql, tuple(value for part in parts for value in part.parameters))
