"""A hub, or what pretends to be one, that answers without end, packed, or with names and paths that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from world import World, faults, samples

from modelhub.errors import NotFoundError, ProviderError
from modelhub.fetch.huggingface import bounds
from modelhub.fetch.offer import Offer

Ask = Callable[[str], Offer]
LORA = samples.lora()


@pytest.mark.parametrize("fault", [faults.endless(), faults.gzipped()], ids=str)
def test_the_library_does_not_read_without_end(
    world: World, offer: Ask, monkeypatch: pytest.MonkeyPatch, fault: faults.Fault
):
    monkeypatch.setattr(bounds, "BODY", 1 << 20)
    world.add_repo("mara/sketch", {"sketch.safetensors": LORA})
    world.fault("GET hub /api/", fault, times=None)
    with pytest.raises(ProviderError, match="without end"):
        offer("mara/sketch")
    assert len(world.asked) == 1, "asking again mends nothing"
    world.clear_faults()
    assert offer("mara/sketch").files


def test_the_librarys_other_users_are_not_bounded(world: World, offer: Ask, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import HfApi

    world.add_repo("mara/sketch", {"sketch.safetensors": LORA})
    offer("mara/sketch")
    monkeypatch.setattr(bounds, "BODY", 1)
    assert HfApi(endpoint=world.hub.url, token=False).model_info("mara/sketch").id == "mara/sketch"


@pytest.mark.parametrize("name", ["mara/\x1b[31mx", "../../x", "a/b/c", 5, None])
def test_a_name_that_no_repository_has_is_an_error(world: World, offer: Ask, name: Any):
    world.add_repo("mara/sketch", {"sketch.safetensors": LORA}, id=name)
    with pytest.raises(ProviderError, match="says nothing of mara/sketch"):
        offer("mara/sketch")


def test_half_a_character_is_in_no_path(world: World, offer: Ask):
    odd = [{"rfilename": "a\ud800.safetensors", "size": 10}]
    world.add_repo("mara/sketch", {"sketch.safetensors": LORA}, siblings=odd)
    with pytest.raises(NotFoundError):
        offer("mara/sketch")


def test_a_size_beyond_all_disks_is_no_size(world: World, offer: Ask):
    world.add_repo("mara/sketch", {"a.safetensors": LORA}, siblings=[{"rfilename": "a.safetensors", "size": 10**30}])
    assert [file.size for file in offer("mara/sketch").files] == [None]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), [[[]]] * 3], ids=str)
def test_what_is_kept_of_a_card_is_json(world: World, offer: Ask, odd: Any):
    for _ in range(200) if isinstance(odd, list) else ():
        odd = [odd]
    world.add_repo("mara/sketch", {"sketch.safetensors": LORA}, cardData={"odd": odd, "license": "mit"})
    json.dumps(offer("mara/sketch").raw, allow_nan=False)
    assert offer("mara/sketch").raw["cardData"] == {}
