"""Bodies that never end, trickle, or hold what other programs cannot read: they cost a bounded time and nothing more."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from world import World, faults

from modelhub.errors import ProviderError, UnreachableError
from modelhub.fetch.net import Net, Patience, Refused, bodies

TRICKLE = faults.slow(20, piece=1)


@pytest.fixture
def net(world: World) -> Iterator[Net]:
    with Net(lambda provider: None, patience=Patience(connect=2, read=2, tries=3, knocks=1, first=0.01)) as made:
        yield made


def test_numbers_that_no_computer_holds_are_left_out(world: World, net: Net):
    url = world.add_file("a.json", b'{"a": 1e999, "b": NaN, "c": [-Infinity, 1.5, 2]}')
    assert net.json(url) == {"a": None, "b": None, "c": [None, 1.5, 2]}


def test_an_answer_in_hundreds_of_lists_is_refused(world: World, net: Net):
    with pytest.raises(ProviderError):
        net.json(world.add_file("deep.json", b"[" * 300 + b"]" * 300))
    assert net.json(world.add_file("wide.json", b"[" + b"[[]]," * 300 + b"[]]"))


def test_the_words_of_a_refusal_are_not_waited_for(world: World, net: Net, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "SHORT", 0.3)
    url = world.add_file("a.json", b"{}")
    world.fault("GET storage", faults.Fault("no", faults.status(403, "no " * 999).before, write=TRICKLE.write))
    begun = time.monotonic()
    with pytest.raises(Refused) as caught:
        net.json(url)
    assert time.monotonic() - begun < 5
    assert len(world.asked) == 1
    assert caught.value.refusal.body.startswith("no")


def test_a_body_that_trickles_ends_some_time(world: World, net: Net, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "LONG", 0.3)
    url = world.add_file("a.json", b"[" + b" " * 999 + b"]")
    world.fault("GET storage", TRICKLE, times=None)
    begun = time.monotonic()
    with pytest.raises(UnreachableError):
        net.json(url)
    assert time.monotonic() - begun < 5
    assert len(world.asked) == 1
