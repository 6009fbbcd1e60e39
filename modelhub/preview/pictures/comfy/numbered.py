"""The models that Civitai adds, by its numbers, to graphs of ComfyUI that ran there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from modelhub.preview.pictures.generation import Made, number, whole
from modelhub.preview.pictures.reading.civitai import read_air
from modelhub.preview.pictures.reading.tables import inner, rows, value

_MOST = 200


def numbered(prompt: Mapping[str, Any], workflow: Any) -> Iterator[Made]:
    """Those of a graph and of its drawing, each with its strength where that is told."""
    for holder in (prompt, workflow if isinstance(workflow, dict) else {}):
        told = holder.get("extraMetadata")
        told = value(told) if isinstance(told, str) else told
        listed = islice(rows(told.get("resources") if isinstance(told, dict) else None), _MOST)
        weights = {whole(one.get("modelVersionId")): number(one.get("strength")) for one in listed}
        airs = inner(holder, "extra").get("airs")
        for air in airs[:_MOST] if isinstance(airs, list) else ():
            if isinstance(air, str) and (made := read_air(air)) is not None:
                yield replace(made, weight=weights.get(made.version) if made.role == "lora" else None)
        yield from (Made("other", version=version, weight=weight) for version, weight in weights.items() if version)


def with_numbered(models: Sequence[Made], extra: Sequence[Made]) -> Iterator[Made]:
    """The models with those that are told apart, each version once."""
    known: set[int | None] = {made.version for made in models if made.version}
    yield from models
    for made in extra:
        if made.version not in known:
            known.add(made.version)
            yield made
