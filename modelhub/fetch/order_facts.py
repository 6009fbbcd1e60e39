"""Order facts: what an order keeps of its offer for sidecars and search, and the offer once more for remembering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhub.catalog.lookups import plain_facts
from modelhub.fetch.offer import Offer
from modelhub.fetch.order import Order
from modelhub.formats.sidecars import SidecarFacts
from modelhub.formats.sidecars.facts import FIELDS

#: Fields that are about one file on one disk, and not about the model.
_LEFT_OUT = ("hashes", "preview")


def facts_to_keep(offer: Offer) -> dict[str, Any]:
    """What `offer` says of the model, as JSON can hold it, with the page that it comes from."""
    said = {name: value for name, value in plain_facts(offer.facts).items() if name not in _LEFT_OUT}
    told = {"source": offer.page or offer.address, "name": offer.title, "version": offer.version}
    return {**{name: value for name, value in told.items() if value}, **said}


def facts_of(order: Order) -> SidecarFacts:
    """The facts that an order keeps; a field that an older or newer modelhub wrote is left out."""
    return SidecarFacts(**{name: _value(value) for name, value in order.facts.items() if name in FIELDS})


def offer_of(order: Order) -> Offer:
    """The offer that an order came from, as far as the order keeps it."""
    return Offer(
        order.source,
        order.address,
        order.provider,
        order.title,
        version=str(order.facts.get("version") or ""),
        page=_text(order.facts, "source"),
        kind=order.kind,
        architecture=order.architecture,
        files=order.files,
        whole=order.whole,
        facts=facts_of(order),
        raw=order.raw,
    )


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(table: Mapping[str, Any], name: str) -> str | None:
    value = table.get(name)
    return value if isinstance(value, str) else None
