"""Names that llama.cpp gives to tensors, turned into those that other programs know. Data: `catalog/llama-cpp.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from functools import cache
from typing import Any

from modelhub.catalog.data import data_path

_BLOCK = re.compile(r"(?<=\.)(\d{1,5})(?=\.)")
#: What every file of llama.cpp has, and few others.
_EMBEDDING = "token_embd.weight"


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(data_path("llama-cpp.toml").read_text(encoding="utf-8"))["names"])


def has_llama_names(names: Collection[str]) -> bool:
    """Whether the tensors are named as llama.cpp names those of a language model."""
    return _EMBEDDING in names or any(row["mark"] in names for row in _rows())


def usual_names(names: Collection[str]) -> dict[str, str]:
    """Each name to that which other programs know; empty unless all are known, and no two become one."""
    row = next((row for row in _rows() if row["mark"] in names), None)
    if row is None:
        return {}
    known = dict(row["map"])
    for absent, instead in row.get("without", {}).items():
        known.update({} if absent in names else instead)
    found = {name: new for name in names if (new := _renamed(name, known))}
    return found if len(set(found.values())) == len(names) else {}


def _renamed(name: str, known: dict[str, str]) -> str | None:
    number = _BLOCK.search(name)
    new = known.get(_BLOCK.sub("#", name, count=1))
    return new.replace("#", number[1]) if new and number else new
