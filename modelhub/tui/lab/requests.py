"""Requests as plain values, for the memory and the history; whatever stands there, a request comes of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from modelhub.errors import UsageError
from modelhub.preview.request import Hires, Request

_PLAIN = {
    "prompt": str, "negative": str, "sampler": str, "schedule": str, "steps": int, "cfg": float, "seed": int,
    "width": int, "height": int, "batch": int, "clip_skip": int,
}  # fmt: skip
_HIRES = {"scale": float, "upscaler": str, "denoise": float, "steps": int}


def plain_request(request: Request) -> dict[str, Any]:
    """What the lab has fields for."""
    found = _taken(request, _PLAIN)
    return found | ({"hires": _taken(request.hires, _HIRES)} if request.hires else {})


def _taken(thing: object, names: dict[str, type]) -> dict[str, Any]:
    values = {name: getattr(thing, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def read_request(plain: object) -> Request | None:
    """The request of such values; None if they make none."""
    table = plain if isinstance(plain, dict) else {}
    values: dict[str, Any] = _typed(table, _PLAIN)
    with suppress(UsageError):
        second = table.get("hires")
        hires = Hires(**_typed(second, _HIRES)) if isinstance(second, dict) else None
        return Request(**{"prompt": "", **values, "hires": hires})
    return None


def _typed(table: dict[Any, Any], names: dict[str, type]) -> dict[str, Any]:
    """The values that are of their kinds."""
    found = {}
    for name, kind in names.items():
        value = table.get(name)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is kind:
            found[name] = value
    return found
