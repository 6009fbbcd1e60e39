"""Searching: words of the catalog become Civitai's, and its answers hits."""

from __future__ import annotations

import pytest
from world import faults

from modelhub.fetch import civitai
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.search.hits import Search


@pytest.fixture
def net(world):
    with Net(patience=Patience(tries=1, knocks=1)) as made:
        yield made


@pytest.fixture
def shelf(world):
    world.add_version(1, 10, [b"a" * 2000], title="Detail Tweaker", type="LORA", baseModel="SDXL 1.0", tags=["concept"])
    world.add_version(2, 20, [b"b" * 3000], title="Detail anime", type="Checkpoint", baseModel="Pony", nsfw=True)
    world.add_version(3, 30, [b"c" * 10], title="Detail slider", type="LoCon", baseModel="SDXL 1.0")
    world.add_version(3, 31, [b"c" * 11], name="for flux", baseModel="Flux.1 D", availability="EarlyAccess")
    world.add_version(4, 40, [b"d"], title="Landscape", type="LORA", baseModel="SD 1.5", creator={"username": "otto"})
    return world


def titles(found):
    return [one.title for one in found]


def test_a_hit_with_all_that_is_known(shelf, net):
    hit = civitai.search(Search("tweaker"), net)[0]
    assert (hit.provider, hit.address, hit.title, hit.version) == ("civitai", "civitai:1@10", "Detail Tweaker", "v10")
    assert (hit.kind, hit.base_model, hit.architecture, hit.size) == ("lora", "SDXL 1.0", "sdxl", 2000)
    assert (hit.downloads, hit.likes, hit.nsfw, hit.creator, hit.tags) == (1001, 101, False, "mara", ("concept",))
    assert hit.page == "https://civitai.com/models/1?modelVersionId=10"
    assert hit.updated == "2026-01-02T03:04:05.000Z"
    assert hit.trouble is None


def test_kinds_and_architectures(shelf, net):
    assert titles(civitai.search(Search("detail", kind="lora"), net)) == ["Detail slider", "Detail Tweaker"]
    assert shelf.asked[-1].pairs.count(("types", "LoCon")) == 1
    found = civitai.search(Search(kind="lora", architecture="flux1"), net)
    assert [(one.title, one.version, one.address) for one in found] == [("Detail slider", "for flux", "civitai:3@31")]
    assert "early access" in (found[0].trouble or "")
    sdxl = civitai.search(Search(kind="lora", architecture="sdxl"), net)
    assert [one.address for one in sdxl] == ["civitai:3@30", "civitai:1@10"]


@pytest.fixture(autouse=True)
def every_base(monkeypatch):
    """The names of base models that the server of the tests knows."""
    from world import civitai_search

    from modelhub.catalog.base_models import base_models_of

    more = [name for architecture in ("sdxl", "flux1", "sd1") for name in base_models_of(architecture)]
    monkeypatch.setattr(civitai_search, "BASES", [*civitai_search.BASES, *more])


def test_what_civitai_has_no_word_for_is_not_asked(shelf, net):
    assert civitai.search(Search(kind="clip-vision"), net) == []
    assert civitai.search(Search(architecture="svd-vae"), net) == []
    assert civitai.search(Search("x", limit=0), net) == []
    assert shelf.asked == []


def test_adult_models_only_where_they_are_wanted(shelf, net):
    assert "Detail anime" not in titles(civitai.search(Search("detail"), net))
    assert "Detail anime" in titles(civitai.search(Search("detail", adult=True), net))


def test_creator_tag_and_order(shelf, net):
    assert titles(civitai.search(Search(creator="otto"), net)) == ["Landscape"]
    assert titles(civitai.search(Search(tag="concept"), net)) == ["Detail Tweaker"]
    assert titles(civitai.search(Search("detail", sort="newest"), net)) == ["Detail slider", "Detail Tweaker"]
    assert shelf.asked[-1].query["sort"] == "Newest"


def test_a_limit_and_going_on_behind_it(world, net):
    for number in range(1, 261):
        world.add_version(number, 1000 + number, [b"x%d" % number], title=f"Model {number}")
    first = civitai.search(Search("model", limit=150, sort="newest"), net)
    assert len(first) == 150
    assert [one.query["limit"] for one in world.asked] == ["100", "50"]
    rest = civitai.search(Search("model", limit=150, sort="newest", cursor=first[-1].cursor), net)
    assert len({one.address for one in (*first, *rest)}) == 260
    assert rest[-1].cursor is None
    assert all("page" not in one.query for one in world.asked)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": None},
        {"items": [1, None, {}, {"id": 1}, {"id": 1, "modelVersions": [{}, 5]}]},
        {"items": [], "metadata": {"nextCursor": {}}},
    ],
)
def test_answers_of_no_use(world, net, body):
    world.fault("/api/v1/models", faults.status(200, body), times=None)
    assert civitai.search(Search("x"), net) == []


def test_an_answer_without_end(world, net):
    endless = {"items": [{"id": 1, "name": "x", "modelVersions": []}], "metadata": {"nextCursor": 7}}
    world.fault("/api/v1/models", faults.status(200, endless), times=None)
    assert civitai.search(Search("x"), net) == []
    assert len(world.asked) == 10
