"""Key rules: which tensors a pattern of names means, within some blocks or everywhere.

`*attn2*` is any tensor with attn2 in its name; a star stands for any text, nothing else has a meaning. Before a colon
stand the blocks and components that it is kept to, and `NOT` turns either side round: `OUT03-OUT05 M00:*attn*`,
`NOT IN00:NOT *norm* *bias*`. These are supermerger's elemental rules with the stars written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from modelhub.catalog.blocks import TEXT_ENCODERS, all_blocks, block_range

#: Before the only digit of a name.
_DIGIT = re.compile(r"(?<=[A-Z])(?=[0-9]$)")
#: What people call components, by the word for it here.
_WORDS = {
    "unet": ("denoiser", "transformer", "dit", "diffusion_model"),
    "te": ("text_encoder", "text_encoders"),
    "te1": ("te_1", "text_encoder_1", "clip_l"),
    "te2": ("te_2", "text_encoder_2", "clip_g"),
    "t5": ("t5xxl", "t5_xxl"),
    "vae": (),
}


@cache
def _components() -> dict[str, str]:
    return {word: name for name, others in _WORDS.items() for word in (name, *others)}


def component_of(word: str) -> str:
    """The component that a word means, "" if it is none."""
    return _components().get(word.strip().lower().replace("-", "_"), "")


def blocks_of(word: str) -> tuple[str, ...]:
    """The blocks that a word means, one or a range, in any case; empty if it means none."""
    first, dash, last = word.partition("-")
    if not dash:
        return (_block(first),) if _block(first) in all_blocks() else ()
    return block_range(_block(first), _block(last))


def _block(word: str) -> str:
    """The name of a block as it is in the tables, however it was written: `in3` is IN03."""
    word = word.strip().upper()
    return word if word in all_blocks() else _DIGIT.sub("0", word)


def is_like(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, where each star stands for any text; takes no longer than a search."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == name
    last = middle.pop()
    at, end = len(first), len(name) - len(last)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


@dataclass(frozen=True)
class KeyRule:
    """A pattern read: `scope` are blocks and components (none: all), `patterns` those of which one must fit."""

    patterns: tuple[str, ...]
    scope: frozenset[str] = frozenset()
    out_of_scope: bool = False
    unlike: bool = False

    def fits(self, component: str, block: str | None, name: str, full: str) -> bool:
        """Whether a tensor is meant, by its name below the component's prefix or as the file has it."""
        if self.scope and self._within(component, block) == self.out_of_scope:
            return False
        return any(is_like(p, name) or is_like(p, full) for p in self.patterns) != self.unlike

    def _within(self, component: str, block: str | None) -> bool:
        return component in self.scope or block in self.scope or (component in TEXT_ENCODERS and "te" in self.scope)


def scope_of(words: Iterable[str]) -> frozenset[str] | None:
    """The blocks and components that words name; None if one of them names nothing."""
    found: set[str] = set()
    for word in words:
        names = blocks_of(word) or tuple(filter(None, (component_of(word),)))
        if not names:
            return None
        found.update(names)
    return frozenset(found)


@lru_cache(maxsize=4096)
def key_rule(pattern: str) -> KeyRule:
    """The rule of a pattern. What stands before a colon and names no blocks belongs to the name."""
    before, colon, after = pattern.partition(":")
    blocks, patterns = before.split(), after.split()
    turned, unlike = blocks[:1] == ["NOT"], patterns[:1] == ["NOT"]
    scope = scope_of(blocks[turned:])
    if not colon or scope is None or not patterns[unlike:]:
        return KeyRule((pattern,))
    return KeyRule(tuple(patterns[unlike:]), scope, turned and bool(scope), unlike)


def elemental(blocks: str, words: str) -> str:
    """The pattern of a rule of supermerger, whose words may stand anywhere in a name: `OUT04`, `attn` → `OUT04:*attn*`.

    Raises ValueError if `blocks` names something else.
    """
    places, parts = blocks.split(), words.split()
    if scope_of(places[places[:1] == ["NOT"] :]) is None:
        raise ValueError(blocks)
    turned = ["NOT"] if parts[:1] == ["NOT"] else []
    stars = [f"*{part}*" for part in parts[len(turned) :]] or ["*"]
    return f"{' '.join(places)}:{' '.join(turned + stars)}" if places or turned or len(stars) > 1 else stars[0]
