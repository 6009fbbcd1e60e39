"""Words that others wrote, made fit to keep: one line or prose, no control characters, no markup, no endless text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from contextlib import suppress

#: Characters that are kept of a name or a word, of a description or notes, and entries of a list.
MAX_LINE, MAX_PROSE, MAX_WORDS = 500, 20_000, 200
#: Markup takes room too; what lies further back is not looked at.
_MAX_MARKUP = 10 * MAX_PROSE
_ELEMENTS = (
    "a|p|br|b|i|u|s|em|strong|strike|del|ins|mark|sup|sub|small|code|kbd|pre|blockquote|hr|ul|ol|li|div|span|font|"
    "center|img|figure|figcaption|iframe|video|source|table|thead|tbody|tr|td|th|h[1-6]|script|style|edge-media"
)
#: Only names of real elements, so that `<lora:name:1>` in a prompt stays.
_TAG = re.compile(rf"<(/?)({_ELEMENTS})(?![\w-])[^<>]*>", re.IGNORECASE)
_PARAGRAPHS = re.compile(r"p|div|pre|blockquote|hr|ul|ol|table|figure|h[1-6]")
_UNSEEN = ("script", "style")


def line(text: str, limit: int = MAX_LINE) -> str:
    """`text` on one line of at most `limit` characters, runs of white space made one space."""
    return _cut(" ".join(_clean(text[: 4 * limit]).split()), limit)


def prose(text: str, limit: int = MAX_PROSE) -> str:
    """`text` with its lines kept, at most one empty line between two, at most `limit` characters."""
    lines = [" ".join(one.split()) for one in _clean(text[: 4 * limit]).split("\n")]
    return _cut(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), limit)


def words(found: Iterable[object]) -> tuple[str, ...]:
    """The texts among `found`, each on one line and once."""
    cleaned = (line(one) for one in found if isinstance(one, str))
    return tuple(dict.fromkeys(one for one in cleaned if one))[:MAX_WORDS]


def from_html(markup: str) -> str:
    """The prose in HTML: tags removed, paragraphs and list items on lines of their own, entities decoded."""
    markup = markup[:_MAX_MARKUP]
    text = _without_tags(markup) if is_html(markup) else markup
    with suppress(ValueError):  # a character reference of thousands of digits
        text = html.unescape(text)
    return prose(text)


def to_html(text: str) -> str:
    """HTML that `from_html` reads as `text`."""
    paragraphs = (html.escape(part, quote=False).replace("\n", "<br>") for part in text.split("\n\n"))
    return "".join(f"<p>{part}</p>" for part in paragraphs)


def from_either(text: str) -> str:
    """The prose in a text that may have been copied from a web page, tags and all."""
    return from_html(text) if is_html(text[:_MAX_MARKUP]) else prose(text)


def to_either(text: str) -> str:
    """What `from_either` reads as `text`: the text itself, unless it would be taken for HTML."""
    return to_html(text) if is_html(text) else text


def is_html(text: str) -> bool:
    """Whether `text` holds a tag of HTML."""
    return _TAG.search(text) is not None


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isprintable():
        return text
    return "".join(one if one == "\n" or one.isprintable() else " " if one.isspace() else "" for one in text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _without_tags(markup: str) -> str:
    kept: list[str] = []
    unseen, position = "", 0
    for tag in _TAG.finditer(markup):
        name, closing = tag[2].lower(), bool(tag[1])
        if not unseen:
            kept += (" ".join(_spaced(markup[position : tag.start()])), _break(name, closing))
            unseen = name if name in _UNSEEN and not closing else ""
        elif closing and name == unseen:
            unseen = ""
        position = tag.end()
    return "".join(kept) + ("" if unseen else " ".join(_spaced(markup[position:])))


def _spaced(text: str) -> list[str]:
    """Words to be joined by single spaces, empty ones where white space stood at an end."""
    return re.split(r"\s+", text)


def _break(name: str, closing: bool) -> str:
    if _PARAGRAPHS.fullmatch(name):
        return "\n\n"
    if name == "li":
        return "" if closing else "\n- "
    return "\n" if name == "br" or (name == "tr" and not closing) else ""
