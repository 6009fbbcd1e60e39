"""Strengths that PEFT keeps beside the tensors: in a configuration, whose patterns name modules that differ.

Files of PEFT have no tensors for alpha. diffusers writes the configurations of all components into the metadata of the
file, PEFT writes one into `adapter_config.json` beside it; where there is neither, the scale is 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelhub.catalog.adapters import Module
from modelhub.errors import FileError
from modelhub.formats.json_file import is_deeper, read_table

#: Where diffusers has the configurations, each entry with the name of its component before it: `unet.lora_alpha`.
METADATA = "lora_adapter_metadata"
#: The only name by which PEFT finds an adapter in a folder, and what it has beside it.
_FILE, _BESIDE = "adapter_model", "adapter_config.json"
_COMPONENTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
_SETTINGS = ("use_cayley_neumann", "num_cayley_neumann_terms")
_SCALED = frozenset({"lora", "loha", "lokr"})
_MAX_TEXT = 4_000_000
#: No strength is so large; JSON has NaN, infinity, and whole numbers of any length.
_LARGE = 1e30


class Configured:
    """What configurations say of a file's modules; `tables` has them by the prefix of the modules' names."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self._tables = tables

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: Path | None) -> Configured:
        """Those of a file with this metadata at `path`; none where they cannot be read."""
        found = _by_component(_table(metadata.get(METADATA, "")))
        if not found and path is not None and path.stem == _FILE:
            found = _beside(path)
        return cls(found)

    def settings(self, module: Module) -> dict[str, object]:
        """What algorithms want to know of a module that no tensor tells: see `Given.settings`."""
        table, _ = self._of(module)
        return {name: table[name] for name in _SETTINGS if name in table}

    def scale(self, module: Module) -> float | None:
        """alpha / rank, None where no configuration says it; with `use_rslora` alpha by the root of the rank.

        (Kalajdzievski 2023, arXiv:2312.03732.)
        """
        table, name = self._of(module)
        if module.algorithm not in _SCALED:
            return None
        alpha = _number(table, name, "lora_alpha" if "lora_alpha" in table else "alpha", "alpha_pattern")
        rank = module.size.rank or _number(table, name, "r", "rank_pattern")
        if alpha is None or not rank or rank < 0:
            return None
        is_rooted = module.algorithm == "lora" and table.get("use_rslora") is True
        return alpha / (math.sqrt(rank) if is_rooted else rank)

    def _of(self, module: Module) -> tuple[Mapping[str, Any], str]:
        """The configuration for a module, empty if there is none, and the name that it has in it."""
        for prefix, table in self._tables.items():
            if module.name.startswith(prefix):
                return table, module.name[len(prefix) :]
        return {}, module.name


def _table(text: str) -> dict[str, Any]:
    if not text or len(text) > _MAX_TEXT or is_deeper(text, 20):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _by_component(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"unet.r": 4}` as `{"unet.": {"r": 4}}`, the longest names first: one begins as another does."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(_COMPONENTS, key=len, reverse=True):
        own = {key[len(name) + 1 :]: value for key, value in table.items() if key.startswith(f"{name}.")}
        if own:
            found[f"{name}."] = own
    return found


def _beside(path: Path) -> dict[str, dict[str, Any]]:
    try:
        table = read_table(path.with_name(_BESIDE))
    except FileError:
        return {}
    return {"base_model.model.": table, "": table}


def _number(table: Mapping[str, Any], name: str, word: str, pattern_word: str) -> float | None:
    """A number of a module: of the first pattern that fits its name, or that of all."""
    value, patterns = table.get(word), table.get(pattern_word)
    for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
        if _fits(pattern, name):
            value = own
            break
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGE else None


def _fits(pattern: str, name: str) -> bool:
    """Whether a name is the pattern or ends in it after a dot.

    PEFT takes patterns for regular expressions, but writes names; those of strangers are not run.
    """
    plain = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
    return name == plain or (not pattern.startswith("^") and name.endswith("." + plain))
