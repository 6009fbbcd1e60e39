"""A net that loses no time, and short ways to ask the hub of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from world import World

from modelhub.fetch.huggingface import find_offer
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.offer import Offer
from modelhub.fetch.sources import read_source

QUICK = Patience(read=5, tries=3, knocks=2, first=0.001, most=0.002, longest=1)


@pytest.fixture
def token() -> dict[str, str]:
    """What the net knows: a test puts the token of huggingface in."""
    return {}


@pytest.fixture
def net(world: World, token: dict[str, str]) -> Iterator[Net]:
    with Net(token.get, patience=QUICK) as made:
        yield made


@pytest.fixture
def offer(world: World, token: dict[str, str]) -> Callable[[str], Offer]:
    """`offer("owner/repo:file")`: what that leads to, asked by a net that knows the token of this moment."""

    def ask(text: str) -> Offer:
        with Net(token.get, patience=QUICK) as made:
            return find_offer(read_source(text), made)

    return ask
