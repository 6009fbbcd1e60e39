"""Files marked among versions, as offers of their own; what several sources lead to; and searches as they are typed."""

from __future__ import annotations

import pytest
from getting import Getter
from world import samples

from modelhub.errors import NotFoundError, UsageError
from modelhub.fetch.asking import ask_all, pasted_tokens, usual
from modelhub.fetch.marked import chosen, versions_to_show
from modelhub.fetch.offers import find_offer
from modelhub.fetch.search.wanting import read_search


def test_files_of_two_versions_become_two_offers(getter: Getter):
    for version in (10, 11):
        file = {"data": samples.lora(seed=version), "name": f"v{version}.safetensors"}
        getter.world.add_version(
            1, version, [file], type="LORA", name=f"number {version}", trainedWords=[f"word{version}"]
        )
    offer = find_offer("civitai:1", getter.net)
    versions = versions_to_show(offer)
    assert [one.name for one in versions] == ["number 11", "number 10"]
    found = chosen(offer, [(one, one.files) for one in versions], getter.net)
    assert [(one.version, choice.files[0].name) for one, choice in found] == [
        ("number 11", "v11.safetensors"), ("number 10", "v10.safetensors")
    ]  # fmt: skip
    assert [one.facts.trigger_words for one, _ in found] == [("word11",), ("word10",)]
    assert {one.source for one, _ in found} == {offer.source}


def test_what_lies_apart_from_a_whole_is_chosen_apart(getter: Getter):
    getter.world.add_repo("mara/both", {**samples.diffusers(), "all_in_one.safetensors": samples.model("sd15")})
    offer = find_offer("mara/both", getter.net)
    assert offer.whole and offer.apart
    (version,) = versions_to_show(offer)
    found = chosen(offer, [(version, version.files)], getter.net)
    assert [len(choice.files) for _, choice in found] == [len(offer.files), len(offer.apart)]


def test_a_file_that_is_listed_no_more_is_not_found(getter: Getter):
    for version in (10, 11):
        getter.world.add_version(1, version, [{"data": samples.lora(seed=version), "name": f"v{version}.safetensors"}])
    offer = find_offer("civitai:1", getter.net)
    old = versions_to_show(offer)[1]
    getter.world.add_version(1, 10, [{"data": samples.lora(seed=12), "name": "other.safetensors", "id": 5}])
    with pytest.raises(NotFoundError, match="no longer listed"):
        chosen(offer, [(old, old.files)], getter.net)


def test_one_source_that_fails_leaves_the_others_alone(getter: Getter):
    getter.world.add_version(1, 10, [{"data": samples.lora(), "name": "a.safetensors"}])
    asked = ask_all(getter.catalog, ["civitai:1", "civitai:99"], getter.net)
    assert [(one.offer is None, one.error is None) for one in asked] == [(False, True), (True, False)]
    assert [file.name for file in usual(asked[0]).choice.files] == ["a.safetensors"]
    assert usual(asked[1]) == asked[1]


def test_tokens_in_addresses_are_found_and_not_shown(getter: Getter):
    source = f"https://civitai.com/api/download/models/10?token={getter.world.civitai.token}"
    assert pasted_tokens([source, "water color", "mara/x"]) == {"civitai": getter.world.civitai.token}
    (one,) = ask_all(getter.catalog, [source], getter.net)
    assert getter.world.civitai.token not in one.source


def test_a_search_is_read_from_words_and_fields():
    wanted, providers = read_search(
        'water "two words" kind:LoRA arch:sdxl by:mara sort:rating http:x', limit=7, adult=True
    )
    assert (wanted.text, wanted.kind, wanted.architecture, wanted.creator) == (
        "water two words http:x",
        "lora",
        "sdxl",
        "mara",
    )
    assert (wanted.sort, wanted.limit, wanted.adult, providers) == ("likes", 7, True, ("civitai", "huggingface"))
    assert read_search("x base:Pony")[1] == ("civitai",), "only Civitai knows base models"
    assert read_search("x on:huggingface base:Pony")[1] == ("huggingface",)
    for wrong in ("kind:nonsense", "arch:nonsense", "sort:nonsense", "on:nowhere"):
        with pytest.raises(UsageError, match="no"):
            read_search(wrong)
