"""Newer versions: by base model and date, from Civitai and from Hugging Face, cached, interrupted, of what is here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from lookup_files import data_of, sha256_of
from world import faults
from world.place import World

from modelhub.catalog import lookups
from modelhub.catalog.lookups import Lookup, ModelAnswer
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, UnreachableError
from modelhub.fetch.arriving.remember import remember
from modelhub.fetch.huggingface import find_offer
from modelhub.fetch.lookup.newer import Here, compare
from modelhub.fetch.lookup.sync import sync
from modelhub.fetch.lookup.updates import updates
from modelhub.fetch.net import Net
from modelhub.fetch.sources import HuggingFaceSource, read_source
from modelhub.jobs import Event, Job


def version(number: int, base: str = "SDXL 1.0", day: int | None = None, **more: Any) -> dict[str, Any]:
    date = {"published": f"2026-01-{day:02}T00:00:00.000Z"} if day else {}
    return {"id": number, "name": f"v{number}", "base_model": base, **date, **more}


def here(*numbers: int | None) -> list[Here]:
    return [Here(at, f"/m/{at}", str(number) if number else None) for at, number in enumerate(numbers, 1)]


def newer(versions: list[dict[str, Any]], *mine: int | None) -> list[tuple[int, bool]]:
    found = compare(ModelAnswer("civitai", "1", True, {"versions": versions}), here(*mine))
    return [(int(one.version_id), one.same_base) for one in found.newer]


@pytest.mark.parametrize(
    ("versions", "mine", "expected"),
    [
        ([version(3), version(2), version(1)], [1], [(3, True), (2, True)]),
        ([version(3), version(2), version(1)], [1, 3], []),  # who has the newest is behind nothing
        ([version(3), version(2), version(1)], [3], []),
        ([version(9, day=1), version(2, day=5), version(5, day=3)], [5], [(2, True)]),  # by date, not by number
        ([version(9, day=1), version(2)], [2], [(9, True)]),  # by number where a date lacks
        ([version(3, day=1), version(2, day=1)], [2], [(3, True)]),  # and where it is the same
        ([version(3, "Pony"), version(2, "Pony"), version(1)], [1], [(3, False)]),  # of another base only the newest
        ([version(4, "Pony"), version(3), version(1)], [1], [(3, True), (4, False)]),  # the same base comes first
        ([version(2, "SD 1.5"), version(3)], [3], []),  # an older version for another base is no news
        ([version(4), version(3, "Pony"), version(2, "Pony"), version(1)], [1, 2], [(4, True), (3, True)]),
        ([version(4)], [2], [(4, False)]),  # what is here is listed no more, and its base is not known
        ([version(4)], [None], []),  # nobody knows which version is here
        ([], [4], []),  # an empty list, as happens
    ],
)
def test_what_is_newer(
    versions: list[dict[str, Any]], mine: list[int | None], expected: list[tuple[int, bool]]
) -> None:
    assert newer(versions, *mine) == expected


# -- Civitai -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def known(catalog: Catalog, net: Net, put: Callable[..., int], offer: Callable[..., None]) -> int:
    """An asset that Civitai knows as version 10 of model 1."""
    number = put("a")
    offer("a", 1, 10, name="v1", baseModel="Pony", title="Wet Ink", publishedAt="2026-01-01T00:00:00.000Z")
    sync(catalog, "", net)
    return number


def test_installed_and_newest_are_shown_with_all_that_get_needs(
    catalog: Catalog, net: Net, world: World, offer: Callable[..., None], known: int
) -> None:
    assert updates(catalog, "", net).behind == []
    offer("b", 1, 12, name="v3", baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    offer("c", 1, 11, name="xl", baseModel="SDXL 1.0", publishedAt="2026-02-01T00:00:00.000Z")
    report = updates(catalog, "", net, refresh=True)
    (one,) = report.behind
    assert (one.provider, one.model, one.title, one.page) == ("civitai", "1", "Wet Ink", "https://civitai.com/models/1")
    assert [(mine.id, mine.version, mine.base_model) for mine in one.here] == [(known, "v1", "Pony")]
    assert [(new.version, new.base_model, new.same_base, new.address) for new in one.newer] == [
        ("v3", "Pony", True, "civitai:1@12"), ("xl", "SDXL 1.0", False, "civitai:1@11")
    ]  # fmt: skip
    assert one.newer[0].size == len(data_of("b")) and one.newer[0].published.startswith("2026-03-01")
    assert read_source(one.newer[0].address).version == 12
    assert report.as_dict()["behind"][0]["newer"][0]["address"] == "civitai:1@12"
    assert report.requests == 1


def test_answers_are_kept_for_a_day(
    catalog: Catalog, net: Net, world: World, offer: Callable[..., None], known: int
) -> None:
    offer("b", 1, 12, baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    world.asked.clear()
    assert updates(catalog, "", net).behind == [] and not world.asked, "sync has just asked"
    with catalog.atomic():
        catalog.rows("UPDATE models SET at = at - 90000")
    assert len(updates(catalog, "", net).behind) == 1 and len(world.asked) == 1
    assert len(updates(catalog, "", net).behind) == 1 and len(world.asked) == 1


def test_what_the_query_does_not_find_counts_as_here(
    catalog: Catalog, net: Net, offer: Callable[..., None], put: Callable[..., int], known: int
) -> None:
    put("newer")
    offer("newer", 1, 12, baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    sync(catalog, "", net)
    report = updates(catalog, "name:a.safetensors", net, refresh=True)
    assert (report.assets, report.models, report.behind) == (1, 1, [])


def test_sidecars_say_where_a_file_is_from_too(
    catalog: Catalog, net: Net, world: World, offer: Callable[..., None], put: Callable[..., int]
) -> None:
    sidecar = '{"model_id": 5, "version_id": 50, "base_model": "Pony", "source": "https://civitai.com/models/5"}'
    number = put("bare", sha256=None, sidecar=sidecar)
    put("unknown", sha256=None)
    put(
        "elsewhere",
        sha256=None,
        sidecar='{"model_id": 6, "version_id": 60, "source": "https://openmodeldb.info/models/6"}',
    )
    offer("x", 5, 51, baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    report = updates(catalog, "", net)
    assert [(mine.id, mine.version_id) for one in report.behind for mine in one.here] == [(number, "50")]
    assert (report.assets, report.unknown, report.models) == (3, 2, 1)
    catalog.never_look_up([number])
    world.asked.clear()
    assert updates(catalog, "", net, refresh=True).never == 1 and not world.asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"availability": "EarlyAccess", "earlyAccessEndsAt": "2099-01-01T00:00:00.000Z"}, "early access"),
        ({"mode": "Archived"}, "archived"),
    ],
)
def test_what_cannot_be_had_is_said(
    catalog: Catalog, net: Net, offer: Callable[..., None], known: int, words: dict[str, Any], said: str
) -> None:
    offer("b", 1, 12, baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z", **words)
    (one,) = updates(catalog, "", net, refresh=True).behind
    assert said in (one.newer[0].trouble or "").lower()


def test_models_that_are_there_no_more_are_told(
    catalog: Catalog, net: Net, offer: Callable[..., None], world: World, known: int
) -> None:
    offer("b", 1, 12, baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    assert updates(catalog, "", net, refresh=True).behind
    del world.civitai.models[1], world.civitai.versions[10], world.civitai.versions[12]
    report = updates(catalog, "", net, refresh=True)
    assert [(one.title, one.here[0].id, bool(one.gone)) for one in report.vanished] == [("Wet Ink", known, True)]
    assert report.behind == []


def test_250_models_are_three_requests_and_a_stop_shows_what_is_known(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    names = [put(f"f{n}") for n in range(250)]
    offered = [Lookup(sha256_of(f"f{n}"), "civitai", True, {}, str(1000 + n), "5") for n in range(250)]
    lookups.keep(catalog, offered)
    for n in range(250):
        offer(f"new{n}", 1000 + n, 2000 + n)

    def hear(event: Event) -> None:
        if event.phase == "asking about models" and event.done >= 100:
            job.cancel()

    job = Job("updates", hear, interval=0)
    report = updates(catalog, "", net, job)
    assert isinstance(report.stopped, CancelledError) and len(report.behind) == 100 == report.models
    assert report.as_dict()["stopped"]["code"] == "cancelled"
    report = updates(catalog, "", net)
    assert len(report.behind) == 250 == len(names) and report.requests == 2 and report.stopped is None


def test_a_server_in_trouble_leaves_what_is_known(
    catalog: Catalog, net: Net, world: World, offer: Callable[..., None], known: int
) -> None:
    offer("b", 1, 12, baseModel="Pony", publishedAt="2026-03-01T00:00:00.000Z")
    updates(catalog, "", net, refresh=True)
    world.fault("GET civitai", faults.status(503), times=None)
    report = updates(catalog, "", net, refresh=True)
    assert isinstance(report.stopped, UnreachableError) and len(report.behind) == 1


# -- Hugging Face ------------------------------------------------------------------------------------------------------


def from_hub(catalog: Catalog, net: Net, put: Callable[..., int], name: str, source: str) -> int:
    """An asset that `get` brought from the hub."""
    found = read_source(source)
    assert isinstance(found, HuggingFaceSource)
    number = put(name)
    remember(catalog, sha256_of(name), find_offer(found, net, Job("get")))
    return number


def test_a_file_that_changed_in_its_repository_is_an_update(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    world.add_repo(
        "owner/repo", {"a.safetensors": data_of("a"), "sub/b.safetensors": data_of("b"), "README.md": b"# x"}
    )
    one = from_hub(catalog, net, put, "a", "owner/repo:a.safetensors")
    two = from_hub(catalog, net, put, "b", "owner/repo:sub/b.safetensors")
    assert catalog.get(one).provided["path"] == "a.safetensors"
    report = updates(catalog, "", net)
    assert (report.behind, report.models, report.unknown, report.requests) == ([], 1, 0, 1)
    changed = {"a.safetensors": data_of("a"), "sub/b.safetensors": data_of("new b"), "README.md": b"# y"}
    world.add_repo("owner/repo", changed)
    assert updates(catalog, "", net).behind == [], "kept for a day"
    (found,) = updates(catalog, "", net, refresh=True).behind
    assert (found.provider, found.model, {mine.id for mine in found.here}) == ("huggingface", "owner/repo", {one, two})
    (new,) = found.newer
    source = read_source(new.address)
    assert isinstance(source, HuggingFaceSource) and (source.repo, source.path) == ("owner/repo", "sub/b.safetensors")
    assert new.size == len(data_of("new b"))
    put("new b")
    assert updates(catalog, "", net).behind == [], "the new bytes are here"


def test_another_branch_is_compared_with_itself(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    world.add_repo(
        "owner/repo", {"a.safetensors": data_of("main")}, revisions={"fp16": {"a.safetensors": data_of("a")}}
    )
    number = from_hub(catalog, net, put, "a", "owner/repo:a.safetensors@fp16")
    assert catalog.get(number).provided["revision"] == "fp16"
    assert updates(catalog, "", net, refresh=True).behind == []


def test_a_repository_that_is_gone_or_closed_is_said_and_hides_no_other(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    for name in ("gone", "closed", "open", "less"):
        world.add_repo(f"owner/{name}", {"x.safetensors": data_of(name), "y.safetensors": data_of("y" + name)})
        from_hub(catalog, net, put, name, f"owner/{name}:x.safetensors")
    del world.hub.repos["owner/gone"]
    world.add_repo("owner/closed", {"x.safetensors": data_of("closed")}, private=True)
    world.add_repo("owner/open", {"x.safetensors": data_of("new")})
    world.add_repo("owner/less", {"y.safetensors": data_of("yless")})
    report = updates(catalog, "", net, refresh=True)
    assert [one.model for one in report.behind] == ["owner/open"]
    told = {one.model: one.gone for one in report.vanished}
    assert told.keys() >= {"owner/gone", "owner/less"} and "x.safetensors" in told["owner/less"]
    assert "owner/closed" in told or report.problems
    assert report.stopped is None


def test_remembering_twice_keeps_one_answer_of_each_provider(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], known: int
) -> None:
    world.add_repo("owner/repo", {"a.safetensors": data_of("a")})
    found = find_offer(HuggingFaceSource("owner/repo", path="a.safetensors"), net, Job("get"))
    remember(catalog, sha256_of("a"), found)
    remember(catalog, sha256_of("a"), found)
    assert catalog.rows("SELECT count(*) FROM lookups").fetchone()[0] == 2
    assert catalog.get(known).provided["provider"] == "civitai" and time.time() - catalog.get(known).provided["at"] < 60
