"""Whatever a person types reaches the provider that it means, and a link that has ended is asked for anew."""

from __future__ import annotations

import pytest
from getting import Getter, sha256
from world import samples

from modelhub.errors import NotFoundError, UsageError
from modelhub.fetch.offers import find_offer, same_file

LORA = samples.lora(seed=31)


@pytest.fixture(autouse=True)
def shelf(getter: Getter) -> None:
    getter.world.add_version(1, 2, [{"data": LORA, "name": "a.safetensors"}], type="LORA", title="Ink")
    getter.world.add_repo("someone/thing", {"b.safetensors": LORA})


@pytest.mark.parametrize(
    ("text", "provider", "title"),
    [
        ("civitai:1@2", "civitai", "Ink"),
        ("https://civitai.com/models/1?modelVersionId=2", "civitai", "Ink"),
        ("urn:air:sd1:lora:civitai:1@2", "civitai", "Ink"),
        ("someone/thing", "huggingface", "thing"),
        ("https://huggingface.co/someone/thing/blob/main/b.safetensors", "huggingface", "thing"),
    ],
)
def test_each_form_reaches_its_provider(getter: Getter, text: str, provider: str, title: str):
    offer = find_offer(text, getter.net)
    assert (offer.provider, title in offer.title) == (provider, True)
    assert offer.files[0].hashes["sha256"] == sha256(LORA)
    assert find_offer(offer.address, getter.net).files == offer.files, "the address leads to the same again"


def test_a_hash_is_looked_for_at_civitai(getter: Getter):
    assert find_offer(sha256(LORA), getter.net).title == "Ink"
    with pytest.raises(NotFoundError):
        find_offer("f" * 64, getter.net)


def test_any_other_address_is_asked_itself(getter: Getter):
    offer = find_offer(getter.world.add_file("x/y.safetensors", LORA), getter.net)
    assert (offer.provider, offer.files[0].name, offer.files[0].size) == ("web", "y.safetensors", len(LORA))


def test_what_is_no_source_is_said_to_be_none(getter: Getter):
    with pytest.raises(UsageError):
        find_offer("no such thing", getter.net)
    assert getter.world.asked == []


@pytest.mark.parametrize("source", ["civitai:1@2", "someone/thing"])
def test_a_file_is_found_again_by_what_it_is(getter: Getter, source: str):
    (order,) = getter.plan(source).orders
    old = order.files[0]
    assert same_file(order, old, getter.net) == old
    getter.world.civitai.versions[2].files[0].name = "renamed.safetensors"
    assert same_file(order, old, getter.net).hashes == old.hashes


def test_a_link_that_ended_on_the_way_is_asked_for_anew(getter: Getter):
    from world.faults import drop, expired

    getter.world.fault("GET storage", drop(100_000))
    getter.world.fault("GET storage", expired())
    outcome = getter.one("civitai:1@2")
    assert outcome.sha256 == sha256(LORA)
    assert len(getter.world.asked_of("civitai", path="/api/download/")) > 1
