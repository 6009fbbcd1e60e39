"""Pasted secrets: a password or token in an address is used in the call that it was typed for, and never kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from modelhub.errors import UsageError
from modelhub.fetch.order import Order
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import WebSource


def without_secrets(order: Order) -> Order:
    """The order with addresses that anybody may read."""
    return replace(order, files=tuple(replace(file, url=_bare(file.url)) for file in order.files))


def full_addresses(orders: Iterable[Order]) -> dict[str, str]:
    """The addresses that hold secrets, by what is left of them without."""
    return {_bare(file.url): file.url for order in orders for file in order.files if _bare(file.url) != file.url}


def with_addresses(order: Order, full: Mapping[str, str]) -> Order:
    """The order with its secrets again, where they are known."""
    return replace(order, files=tuple(replace(file, url=full.get(file.url, file.url)) for file in order.files))


def _bare(url: str) -> str:
    """The address without user, password and token; as it is where there are none."""
    with suppress(UsageError):
        source = read_source(url)
        if isinstance(source, WebSource) and source.full_url != source.url:
            return source.url
    return url
