"""Changing a plan before it is done: another folder, another name, or whatever else an order says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modelhub.catalog.store import Catalog
from modelhub.fetch.names.safe import safe_name, with_suffix_of
from modelhub.fetch.order import Order
from modelhub.fetch.planning.plans import Plan, Planned, decided
from modelhub.jobs import QUIET, Job


def renamed(order: Order, name: str) -> Order:
    """The order under another name, made safe, with the suffix that says its format."""
    said = order.goal.name
    own = name if order.whole else with_suffix_of(name, said)
    return replace(order, goal=order.goal.with_name(safe_name(own, said)))


def moved(order: Order, folder: Path) -> Order:
    """The order with another folder, where it goes whatever its bytes turn out to be."""
    there = Path(os.path.abspath(folder))  # noqa: PTH100 (as it is called: links lead elsewhere)
    return replace(order, goal=there / order.goal.name, fixed=True, library=None)


def changed(catalog: Catalog, made: Plan, orders: Sequence[Order | None], job: Job = QUIET) -> Plan:
    """The plan with other orders for its items, None for those to be left out; all are looked into again.

    Raises FileError for a disk that cannot be asked, CancelledError.
    """
    pairs = zip(made.items, orders, strict=True)
    kept = [_with(item, order) for item, order in pairs if order is not None or item.order is None]
    return decided(catalog, kept, job)


def _with(item: Planned, order: Order | None) -> Planned:
    return item if order is None else Planned("new", item.source, item.title, order, order.goal)
