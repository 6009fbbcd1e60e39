"""Sidecar files: what a provider says of a model, written beside it for other tools; no file there is ever replaced."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from modelhub.errors import ModelhubError, file_error
from modelhub.fetch.order import Order
from modelhub.fetch.order_facts import facts_of
from modelhub.formats.hashes import Hashes
from modelhub.formats.sidecars import export_sidecar, read_sidecars
from modelhub.formats.sidecars.files import stem_of
from modelhub.formats.writer import replacing


def write_sidecars(order: Order, model: Path, hashes: Hashes, picture: Path | None) -> list[str]:
    """Write the sidecars that an order asks for, and the picture beside them; returns what went wrong, in sentences."""
    problems = [_said(partial(_write, order, model, hashes, name)) for name in order.sidecars]
    if picture is not None and order.sidecars and read_sidecars(model).preview is None:
        problems.append(_said(partial(_copy, picture, model)))
    return [problem for problem in problems if problem]


def _write(order: Order, model: Path, hashes: Hashes, convention: str) -> None:
    known = {name: value for name, value in hashes.as_dict().items() if value}
    facts = replace(facts_of(order), hashes=known)
    export_sidecar(facts, model, convention, extra=_extra(order, convention))


def _extra(order: Order, convention: str) -> Mapping[str, Any] | None:
    """Civitai's own answer, for the conventions that have a place for all of it."""
    if order.provider != "civitai" or not order.raw:
        return None
    if convention == "civitai-info":
        return order.raw
    return {"civitai": dict(order.raw), "from_civitai": True} if convention == "lora-manager" else None


def _copy(picture: Path, model: Path) -> None:
    goal = model.with_name(f"{stem_of(model)}.preview{picture.suffix}")
    try:
        with picture.open("rb") as source, replacing(goal) as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise file_error(error, goal) from error


def _said(write: Callable[[], object]) -> str:
    """What went wrong; "" for nothing."""
    try:
        write()
    except ModelhubError as error:
        return error.message
    return ""
