"""Relations: the rows of `catalog/relations.toml`, found by architecture, variant, prediction and lineage."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from modelhub.catalog.data import data_path
from modelhub.lora.checking.answer import Verdict


@dataclass(frozen=True, slots=True)
class Relation:
    """One row: what it says of a pair, and the verdict that it alone would give.

    `mark` is what the adapter must not touch, or in rows about missing modules those that they are about. `lora` is the
    variant of adapters that the row is about, "" for all; with `own` it is not about those that are known to be for the
    model's variant. `pruned`: the model lacks blocks on purpose.
    """

    id: str
    verdict: Verdict
    say: str
    mark: str = ""
    lora: str = ""
    pruned: bool = False
    own: bool = False


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(data_path("relations.toml").read_text(encoding="utf-8"))


def _relation(row: Mapping[str, Any], mark: str = "without") -> Relation:
    return Relation(
        row["id"],
        row["verdict"],
        row["say"],
        row.get(mark, ""),
        row.get("lora", ""),
        row.get("pruned", False),
        row.get("unless_variant", False),
    )


@cache
def marks() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The marks and the names that have them."""
    return tuple((name, re.compile(pattern)) for name, pattern in _table()["marks"].items())


@cache
def component_names(architecture: str | None) -> Mapping[str, str]:
    """What people call the components of a model: `unet` is "U-Net", `te2` "CLIP-G"."""
    table = _table()["components"]
    return {**table["any"], **table.get(architecture or "", {})}


@cache
def related(one: str, other: str) -> Relation | None:
    """The row about two architectures whose blocks are alike."""
    return next((_relation(row) for row in _table()["related"] if {*row["between"]} == {one, other}), None)


@cache
def missing(architecture: str | None) -> tuple[Relation, ...]:
    """The rows about modules that some models of an architecture have not got."""
    return tuple(_relation(row, "mark") for row in _table()["missing"] if row["architecture"] == architecture)


@cache
def of_variant(architecture: str | None, variant: str | None) -> tuple[Relation, ...]:
    """The rows about a variant of a model."""
    rows = _table()["variant"]
    return tuple(_relation(row) for row in rows if architecture in row["architecture"] and variant in row["variant"])


def has_fewer(architecture: str | None, facts: Mapping[str, Any]) -> bool:
    """Whether a model has fewer blocks than the released ones of its architecture."""
    released = _table()["blocks"].get(architecture or "", {})
    return any(isinstance(facts.get(name), int) and facts[name] < count for name, count in released.items())


@cache
def of_prediction(architecture: str | None, lora: str | None, model: str | None) -> Relation | None:
    """The row about what both predict; a model without a mark predicts what is usual."""
    model = model or _table()["predicts"].get(architecture or "")
    row = next((row for row in _table()["prediction"] if (row["lora"], row["model"]) == (lora or "", model)), None)
    return _relation({"id": f"prediction-{lora or 'unknown'}-{model}", **row}) if row else None


@cache
def of_lineages(lora: str, model: str) -> Relation:
    """The row about two lineages that differ: the most special one."""
    rows = _table()["lineages"]["pair"]
    fitting = sorted((row for row in rows if _joins(row, lora, model)), key=_stars)
    return _relation(fitting[0] if fitting else _table()["lineages"]["other"])


def _joins(row: Mapping[str, Any], lora: str, model: str) -> bool:
    if "between" not in row:
        return row["from"] in (lora, "*") and row["to"] in (model, "*")
    return _both(row["between"], lora, model) or _both(row["between"], model, lora)


def _both(pair: Iterable[str], one: str, other: str) -> bool:
    return all(wanted in (found, "*") for wanted, found in zip(pair, (one, other), strict=True))


def _stars(row: Mapping[str, Any]) -> int:
    return [*row.get("between", ()), row.get("from"), row.get("to")].count("*")
