"""Search on the hub: filters, pages, what is left out, and no token that follows a link elsewhere."""

from __future__ import annotations

import pytest
from world import World, faults, samples

from modelhub.errors import ProviderError, RateLimitedError, UnreachableError
from modelhub.fetch.huggingface import search
from modelhub.fetch.net import Net
from modelhub.fetch.search.hits import Search

FILES = {"m.safetensors": b"x"}


def fill(world: World) -> None:
    lora = ["lora", "diffusers", "base_model:stabilityai/stable-diffusion-xl-base-1.0"]
    world.add_repo("mara/cat-lora", FILES, tags=lora, likes=5, downloads=50)
    world.add_repo(
        "mara/cat-flux", FILES, tags=["lora", "base_model:black-forest-labs/FLUX.1-dev"], likes=9, downloads=20
    )
    world.add_repo("otto/cat-pipeline", FILES, tags=["diffusers", "diffusers:FluxPipeline"], likes=1, downloads=90)
    world.add_repo("otto/cat-adult", FILES, tags=["diffusers", "not-for-all-audiences"], likes=1, downloads=1)
    world.add_repo(
        "otto/cat-chat", FILES, tags=["transformers"], pipeline_tag="text-generation", library_name="transformers"
    )
    world.add_repo("otto/dog", FILES)


def names(world: World, net: Net, **wanted: object) -> list[str]:
    return [one.address.removeprefix("hf://") for one in search(Search(**wanted), net)]  # type: ignore[arg-type]


def test_words_find_models_of_pictures(world: World, net: Net):
    fill(world)
    assert set(names(world, net, text="cat")) == {"mara/cat-lora", "mara/cat-flux", "otto/cat-pipeline"}


def test_a_hit_says_what_the_hub_knows(world: World, net: Net):
    fill(world)
    (hit,) = search(Search("cat-lora"), net)
    assert (hit.provider, hit.title, hit.creator, hit.kind, hit.architecture) == (
        "huggingface",
        "cat-lora",
        "mara",
        "lora",
        "sdxl",
    )
    assert (hit.downloads, hit.likes, hit.base_model) == (50, 5, "stabilityai/stable-diffusion-xl-base-1.0")
    assert hit.page == "https://huggingface.co/mara/cat-lora"
    assert hit.updated is not None and hit.updated.startswith("2026-")


def test_filters(world: World, net: Net):
    fill(world)
    assert set(names(world, net, text="cat", kind="lora")) == {"mara/cat-lora", "mara/cat-flux"}
    assert names(world, net, text="cat", kind="lora", architecture="flux1") == ["mara/cat-flux"]
    assert names(world, net, text="cat", kind="checkpoint") == ["otto/cat-pipeline"]
    assert set(names(world, net, creator="otto")) == {"otto/cat-pipeline", "otto/dog"}
    assert "otto/cat-adult" in names(world, net, text="cat", adult=True)
    asked = world.asked_of("hub")[0]
    assert ("filter", "lora") in asked.pairs and ("search", "cat") in asked.pairs


def test_order(world: World, net: Net):
    fill(world)
    assert names(world, net, text="cat", sort="downloads")[0] == "otto/cat-pipeline"
    assert names(world, net, text="cat", sort="likes")[0] == "mara/cat-flux"


def test_the_library_finds_the_same(world: World, net: Net):
    from huggingface_hub import HfApi

    fill(world)
    api = HfApi(endpoint=world.hub.url, token=False)
    theirs = [one.id for one in api.list_models(search="cat", filter="lora", sort="likes")]
    assert names(world, net, text="cat", kind="lora", sort="likes") == theirs


def test_pages_go_on_where_the_last_ended(world: World, net: Net):
    for number in range(25):
        world.add_repo(f"mara/cat{number:02}", FILES)
    seen, cursor = [], None
    while True:
        hits = search(Search("cat", limit=10, cursor=cursor), net)
        seen += [one.title for one in hits]
        cursor = hits[-1].cursor
        if cursor is None:
            break
    assert seen == [f"cat{number:02}" for number in range(25)]
    assert [one.status for one in world.asked] == [200] * 3


def test_a_page_of_others_is_turned(world: World, net: Net):
    for number in range(10):
        world.add_repo(
            f"a/cat{number}", FILES, tags=["transformers"], pipeline_tag="text-generation", library_name="transformers"
        )
    world.add_repo("b/cat", FILES)
    world.hub.page_size = 4
    assert names(world, net, text="cat", limit=4) == ["b/cat"]


def test_a_link_to_another_host_is_not_followed(world: World, token: dict[str, str], net: Net):
    token["huggingface"] = world.hub.token
    fill(world)
    link = f'<{world.storage.url}/api/models?cursor=4>; rel="next"'
    world.fault("GET hub /api/models", faults.headers(Link=link), times=None)
    search(Search("cat", limit=50), net)
    assert world.asked_of("storage") == []


def test_gated_and_disabled_are_marked(world: World, net: Net):
    world.add_repo("mara/cat1", FILES, gated="auto")
    world.add_repo("mara/cat2", FILES).disabled = True
    first, second = search(Search("cat"), net)
    assert "gated" in (first.trouble or "") and "disabled" in (second.trouble or "")


@pytest.mark.parametrize(
    "body", ['[1, null, {}, {"id": 3}, {"id": "a/b", "tags": 7, "downloads": "x", "cardData": [1]}]']
)
def test_strange_hits_do_no_harm(world: World, net: Net, body: str):
    world.fault("GET hub /api/models", faults.status(200, body))
    assert [(one.title, one.downloads) for one in search(Search("cat"), net)] == [("b", None)]


def test_trouble_is_told(world: World, net: Net, monkeypatch: pytest.MonkeyPatch):
    world.fault("GET hub /api/models", faults.status(429, retry_after=9000))
    with pytest.raises(RateLimitedError):
        search(Search("cat"), net)
    world.fault("GET hub /api/models", faults.html())
    with pytest.raises(ProviderError):
        search(Search("cat"), net)
    world.fault("GET hub /api/models", faults.status(200, {"error": "x"}))
    with pytest.raises(ProviderError):
        search(Search("cat"), net)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE"):
        search(Search("cat"), net)


def test_real_files_can_be_had_from_a_hit(world: World, net: Net):
    from modelhub.fetch.huggingface import find_offer
    from modelhub.fetch.sources import read_source

    world.add_repo("mara/cat", {"cat.safetensors": samples.lora()})
    (hit,) = search(Search("cat"), net)
    assert find_offer(read_source(hit.address), net).files[0].name == "cat.safetensors"
