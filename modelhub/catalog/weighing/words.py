"""Weights in one line, for the command line, the TUI and recipes, and as other merge tools write them.

0.3                                  one number
GRAD_V                               a preset
GRAD_V>FLAT_25@0.3                   between two presets
0,1,0.9,…                            26 numbers, or 20, 21 or 61; commas, spaces or lines between them
IN00=0.1, IN03-IN05=0.2, te1=0.5     by name; a number without a name is for all others
GRAD_V, OUT03=1                      a preset, with exceptions
*attn2*=0, OUT03-OUT05:*norm*=0.2    by the tensors' names
OUT03 OUT04:attn2 ff:0.5             supermerger's elemental rules: BLOCKS:WORDS:NUMBER
"""

from __future__ import annotations

import json
import re

from modelhub.catalog.weighing.draft import Draft
from modelhub.catalog.weighing.key_rules import elemental, key_rule
from modelhub.catalog.weighing.presets import is_preset
from modelhub.catalog.weighing.weight import Weight, short
from modelhub.text import brief

_MAX_TEXT = 100_000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_ITEM = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",;\n])+')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_BLEND = re.compile(r"([^<>@=]+)>([^<>@=]+)@([^<>@=]+)")
_DEFAULT = "default"


def read_weight(text: str, where: str = "The weight") -> Weight:
    """The weight that a line says. Raises BadRecipeError with what is wrong and where."""
    draft = Draft(where)
    if len(text) > _MAX_TEXT:
        raise draft.wrong(f"it is a text of {len(text):,} characters.", "A weight is a line.")
    if _ITEM.sub("", text).strip(",; \t\r\n"):
        raise draft.wrong("a quotation mark has no second one.", 'Write names with commas as "a,b"=0.5.')
    words = re.split(r"[\s,;]+", text.strip().strip(",;"))
    items = words if all(map(_NUMBER.fullmatch, words)) else [item.strip() for item in _ITEM.findall(text)]
    bare = [item for item in items if _NUMBER.fullmatch(item)]
    if not any(items):
        raise draft.wrong("it is empty.", "Write a number, a preset, or names: IN00=0.1,te1=0.5.")
    if len(bare) == 1:
        draft.base(_number(draft, bare[0]))
    elif bare:
        draft.numbers([_number(draft, item) for item in bare])
    for item in items:
        if item and not _NUMBER.fullmatch(item):
            _take(draft, item)
    return draft.weight()


def _number(draft: Draft, text: str) -> float:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise draft.wrong(f"'{brief(text)}' is not a number.", "Write a number such as 0.3.")
    return draft.number(float(text), f"'{brief(text)}'")


def _take(draft: Draft, item: str) -> None:
    """One item that is more than a number."""
    name, equals, value = _split(item)
    if equals:
        _named(draft, name.strip(), _number(draft, value))
    elif is_preset(item):
        draft.preset(item)
    elif found := _BLEND.fullmatch(item):
        draft.preset(found[1], found[2], _number(draft, found[3]))
    elif item.count(":") == 2:
        _elemental(draft, *item.split(":"))
    else:
        raise draft.unknown(item)


def _split(item: str) -> tuple[str, str, str]:
    """Name, sign and value; a sign within quotation marks is none."""
    quoted = _QUOTED.match(item)
    if quoted is None:
        return item.rpartition("=")
    name, equals, value = item[quoted.end() :].partition("=")
    return quoted[0] + name, equals, value


def _named(draft: Draft, name: str, value: float) -> None:
    if name.startswith('"'):
        draft.key(_unquoted(draft, name), value)
    elif name == _DEFAULT:
        draft.base(value)
    elif _is_pattern(name):
        draft.key(name, value)
    elif not draft.named(name, value):
        raise draft.unknown(name)


def _is_pattern(name: str) -> bool:
    """Whether a word is about names of tensors, which have a dot or a star, or a rule with blocks before a colon."""
    return "*" in name or "." in name or bool(key_rule(name).scope)


def _unquoted(draft: Draft, text: str) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError as error:
        raise draft.wrong(f"{brief(text)} is not a quoted name.", 'Write it as "a,b"=0.5.') from error


def _elemental(draft: Draft, blocks: str, words: str, number: str) -> None:
    value = _number(draft, number)
    try:
        draft.key(elemental(blocks, words), value)
    except ValueError:
        raise draft.unknown(blocks) from None


def weight_text(weight: Weight) -> str:
    """A weight in one line; `read_weight` of it gives an equal weight."""
    table = weight.toml()
    if not isinstance(table, dict):
        return short(table)
    items = []
    if weight.preset is not None:
        blend = weight.preset
        items.append(f"{blend.first}>{blend.second}@{short(blend.at)}" if blend.second else blend.first)
    if "blocks" in table:
        items.append(str(table["blocks"]))
    names = [name for name in table if name not in ("blocks", "default", "preset", "keys")]
    items += [f"{name}={short(table[name])}" for name in names]
    items += [f"{_shown(pattern)}={short(value)}" for pattern, value in table.get("keys", {}).items()]
    if weight.base is not None:
        items.append(f"{_DEFAULT}={short(weight.base)}" if "blocks" in table else short(weight.base))
    return ", ".join(items)


def _shown(pattern: str) -> str:
    """A pattern as it is where it can be read back, in quotation marks where not."""
    plain = re.fullmatch(r"[\w.*:\-]+( [\w.*:\-]+)*", pattern, re.ASCII) and _is_pattern(pattern)
    return pattern if plain else json.dumps(pattern)
