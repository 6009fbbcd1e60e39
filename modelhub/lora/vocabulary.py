"""Vocabulary: whether the name of a module is one that some known model has, or nobody's."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from modelhub.catalog.adapter_names import Place
from modelhub.catalog.architectures import architectures
from modelhub.catalog.keymaps import mapped, modules

if TYPE_CHECKING:
    from modelhub.lora.layers import Layers

_NUMBER = re.compile(r"(?<=_)\d+(?=_|$)")


@lru_cache(maxsize=16_384)
def pattern(flat: str) -> str:
    """A flat name with `#` for its numbers: modules that differ in nothing else are alike."""
    return _NUMBER.sub("#", flat)


def is_known(place: Place, layers: Layers) -> bool:
    """Whether some architecture has a module of that name, or this model one that differs in numbers only."""
    spellings = {(component, pattern(flat)) for component, flat in (place.first, *place.others)}
    return bool(spellings & _released()) or any(flat in _ruled() or flat in _own(layers) for _, flat in spellings)


@cache
def _released() -> frozenset[tuple[str, str]]:
    """(component, pattern) of every module in the key maps."""
    return frozenset((component, pattern(flat)) for name in mapped() for component, flat in modules(name))


@cache
def _ruled() -> frozenset[str]:
    """The names by which data files of architectures know adapters."""
    conditions = (one for architecture in architectures() for one in architecture.adapters)
    return frozenset(
        pattern(name) for one in conditions for name in (*one.all, *one.any, *(name for name, _ in one.shape))
    )


_PATTERNS: WeakKeyDictionary[Layers, frozenset[str]] = WeakKeyDictionary()


def _own(layers: Layers) -> frozenset[str]:
    """The patterns of a model's own names."""
    if layers not in _PATTERNS:
        _PATTERNS[layers] = frozenset(pattern(flat) for _, flat in layers.every())
    return _PATTERNS[layers]
