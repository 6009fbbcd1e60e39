"""Visiting: text encoders come to the device when they are asked something, and may be sent away after."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar
from weakref import ref

from torch import Tensor

from modelhub.preview.models.residence import Residence
from modelhub.preview.networks.layers import Layer

_Encoder = TypeVar("_Encoder", bound=Layer)
#: Where a network keeps the residence that it visits: weakly, for that knows its guests.
_HOME = "_visits"
#: What takes the whole network. A look into the table of tokens is done where that stands.
_QUESTIONS = ("encode", "pool", "encode_and_pool")


def visiting(network: _Encoder, residence: Residence) -> _Encoder:
    """The same text encoder, which from now on is on the device of `residence` while it computes.

    What it is asked about comes there with it, and there its answers stay.
    """
    if _HOME not in vars(network):
        kind: Any = type(network)
        object.__setattr__(network, "__class__", _visitor(kind))
    object.__setattr__(network, _HOME, ref(residence))
    return network


@cache
def _visitor(kind: type[Layer]) -> type[Layer]:
    """The class of text encoders of a `kind` that visit: nothing in a network refers to itself, so it goes at once."""
    asked = {name: _there(kind, name) for name in _QUESTIONS if hasattr(kind, name)}
    return type(kind.__name__, (kind,), asked)


def _there(kind: type[Layer], question: str) -> Callable[..., Any]:
    def asked(network: Layer, *given: Any, **named: Any) -> Any:
        residence: Residence | None = vars(network)[_HOME]()
        ask = getattr(kind, question)
        if residence is None:  # nobody renders with it any more
            return ask(network, *given, **named)
        with residence.use(network):
            return ask(
                network, *(one.to(residence.device) if isinstance(one, Tensor) else one for one in given), **named
            )

    return asked
