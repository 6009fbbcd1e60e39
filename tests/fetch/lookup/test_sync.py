"""Looking files up at Civitai by hash: batches, what is kept when it stops, what never leaves, what has vanished."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from lookup_files import LORA, sha256_of
from world import faults
from world.place import World

from modelhub.catalog import lookups
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, RateLimitedError
from modelhub.fetch.lookup.sync import sync
from modelhub.fetch.net import Net
from modelhub.formats.hashes import EMPTY_SHA256, Hashes
from modelhub.jobs import Event, Job

DAY = 86_400
BY_HASH = "/api/v1/model-versions/by-hash"


def batches(world: World) -> list[list[str]]:
    """The hashes of each request that was answered."""
    return [one.json() for one in world.asked_of("civitai", "POST", BY_HASH) if one.status == 200]


def sent(world: World) -> str:
    """Everything that left this machine, in lower case."""
    return " ".join(f"{one.target} {one.headers} {one.body.decode('latin-1')}" for one in world.asked).lower()


def stopping(after: int) -> Job:
    """A job that is cancelled when so many files were asked for."""

    def hear(event: Event) -> None:
        if event.phase == "asking Civitai" and event.done >= after:
            job.cancel()

    job = Job("sync", hear, interval=0)
    return job


# -- batches -----------------------------------------------------------------------------------------------------------


def test_250_files_are_three_requests_and_answers_in_any_order_are_told_apart(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    for n in range(250):
        put(f"f{n}")
        if n % 5:
            offer(f"f{n}", 1000 + n, 5000 + n, name=f"v{n}", trainedWords=[f"word{n}"])
    report = sync(catalog, "", net)
    assert [len(one) for one in batches(world)] == [100, 100, 50]
    assert (report.assets, report.asked, report.unknown, len(report.found), report.fresh) == (250, 250, 50, 200, 0)
    assert report.models == 200 and report.requests == 5, "three for hashes, two for models"
    for n in range(250):
        (asset,) = catalog.find(f"name:f{n}.safetensors")
        assert asset.trigger_words == ([f"word{n}"] if n % 5 else []), n
        assert asset.provided.get("version_id") == (5000 + n if n % 5 else None)


def test_what_was_stopped_goes_on_with_what_is_left(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    for n in range(250):
        put(f"f{n}")
        offer(f"f{n}", 7, 5000 + n)
    report = sync(catalog, "", net, stopping(after=100))
    assert isinstance(report.stopped, CancelledError) and report.as_dict()["stopped"]["code"] == "cancelled"
    assert (report.asked, report.requests, len(report.found)) == (100, 1, 100)
    assert catalog.count("lookup:known") == 100, "the first batch is kept"
    report = sync(catalog, "", net)
    assert [len(one) for one in batches(world)] == [100, 100, 50] and report.stopped is None
    assert (report.asked, report.fresh, len(report.found)) == (150, 100, 250)
    world.asked.clear()
    assert sync(catalog, "", net).requests == 0 and not world.asked, "everything is fresh"


def test_a_server_that_gives_up_ends_it_and_loses_nothing(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    for n in range(150):
        put(f"f{n}")
        offer(f"f{n}", 7, 5000 + n)
    world.fault(f"POST civitai {BY_HASH}", faults.status(429, retry_after=3600), times=None, skip=1)
    report = sync(catalog, "", net)
    assert isinstance(report.stopped, RateLimitedError) and report.stopped.exit_code == 5
    assert report.asked == 100 == catalog.count("lookup:known")
    world.clear_faults()
    assert sync(catalog, "", net).asked == 50


def test_an_answer_about_what_nobody_asked_for_is_ignored(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    put("mine"), put("other", sha256=None)
    lie = {"id": 9, "modelId": 8, "name": "lie", "trainedWords": ["evil"]}
    files = [{"name": "x", "type": "Model", "sizeKB": 1, "hashes": {"SHA256": sha256_of("other").upper()}}]
    odd = [7, None, {"files": 3}, {"id": 1, "files": [{"hashes": {"SHA256": [1]}}]}, {**lie, "files": files}]
    world.fault(f"POST civitai {BY_HASH}", faults.status(200, odd))
    report = sync(catalog, "", net)
    assert (report.unknown, report.found) == (1, [])
    catalog.set_hashes(catalog.find("name:other")[0].id, Hashes(sha256=sha256_of("other")))
    assert catalog.count("lookup:known") == 0 and catalog.find("evil") == []


# -- what is said ------------------------------------------------------------------------------------------------------


def test_facts_of_version_and_model_come_into_the_catalog_and_are_found(
    catalog: Catalog, net: Net, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    number = put("a")
    put("copy", sha256=sha256_of("a"))
    offer(
        "a", 11, 22, baseModel="Pony", name="v2", trainedWords=["inkwet"], title="Wet \x1b[31mInk", type="LORA",
        tags=["style", "ink"], creator={"username": "painter"}, allowCommercialUse=["Image"], nsfw=True,
        model_description="<p>Use at <b>0.7</b></p>",
    )  # fmt: skip
    report = sync(catalog, "", net)
    asset = catalog.get(number)
    said = asset.provided
    assert (asset.title, asset.trigger_words) == ("Wet [31mInk", ["inkwet"])
    assert asset.source == "https://civitai.com/models/11?modelVersionId=22"
    assert (said["base_model"], said["model_type"], said["nsfw"], said["creator"]) == ("Pony", "LORA", True, "painter")
    assert said["tags"] == ["style", "ink"] and "commercial use: Image" in said["licence"]
    assert said["description"] == "Use at 0.7" and said["file"] == "a.safetensors"
    assert abs(said["at"] - time.time()) < 60
    for query in (
        "base:pony",
        "lineage:pony",
        "creator:painter",
        "inkwet",
        "trigger:inkwet",
        "provider:civitai",
        '"style ink"',
    ):
        assert {one.path.stem for one in catalog.find(query)} == {"a", "copy"}, query
    assert {(one.id, one.model_id, one.version_id, one.matched_by) for one in report.found} == {
        (number, "11", "22", "sha256"), (number + 1, "11", "22", "sha256")
    }  # fmt: skip
    assert report.asked == 1, "copies are asked for once"


def test_what_is_known_of_the_model_is_not_asked_again_for_its_next_file(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    put("a")
    offer("a", 11, 22, creator={"username": "painter"})
    sync(catalog, "", net)
    number = put("b")
    offer("b", 11, 23)
    world.asked.clear()
    assert sync(catalog, "", net).requests == 1 and len(world.asked) == 1
    assert catalog.get(number).provided["creator"] == "painter"


def test_answers_are_asked_for_again_when_they_are_old_or_when_told_to(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    for name, days, found in (("new", 29, True), ("old", 31, True), ("unknown", 6, False), ("forgotten", 8, False)):
        put(name)
        lookups.keep(catalog, [lookups.Lookup(sha256_of(name), "civitai", found, at=time.time() - days * DAY)])
    report = sync(catalog, "", net, dry_run=True)
    assert (report.asked, report.fresh, report.requests) == (2, 2, 1) and not world.asked
    sync(catalog, "", net)
    assert {one.lower() for one in batches(world)[0]} == {sha256_of("old"), sha256_of("forgotten")}
    assert sync(catalog, "", net, refresh=True).asked == 4


def test_a_query_chooses_and_a_dry_run_asks_nobody(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    for n in range(120):
        put(f"f{n}", replace(LORA, kind="lora" if n < 110 else "vae"))
    put("bare", sha256=None)
    report = sync(catalog, "kind:lora", net, dry_run=True)
    assert (report.assets, report.unhashed, report.asked, report.requests) == (111, 1, 110, 2)
    assert report.as_dict()["dry_run"] is True and not world.asked
    assert catalog.count("lookup:none") == 121


def test_what_has_no_hash_is_hashed_first_if_asked_to(
    catalog: Catalog, net: Net, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    number = put("bare", sha256=None)
    offer("bare", 1, 2)
    asked: list[list[int]] = []

    def hashing(ids: list[int]) -> None:
        asked.append(ids)
        catalog.set_hashes(number, Hashes(sha256=sha256_of("bare")))

    assert sync(catalog, "", net).unhashed == 1
    report = sync(catalog, "", net, hashing=hashing)
    assert asked == [[number]] and report.unhashed == 0 and [one.id for one in report.found] == [number]


# -- what stays here ---------------------------------------------------------------------------------------------------


def test_hashes_that_are_not_to_be_looked_up_never_leave(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    put("open")
    weights = Hashes(sha256=sha256_of("private"), autov3="abcdef123456")
    catalog.never_look_up([put("private", hashes=weights)])
    put("copy", sha256=sha256_of("private"))
    put("edited", hashes=Hashes(sha256=sha256_of("edited"), autov3="abcdef123456"))
    put("beside", sidecar='{"never_look_up": true, "model_id": 4711, "source": "https://civitai.com/models/4711"}')
    gone = put("trashed")
    catalog.never_look_up([gone])
    catalog.set_missing([gone])
    put("same", sha256=sha256_of("trashed"))
    report = sync(catalog, "", net, refresh=True)
    assert (report.assets, report.never, report.asked) == (6, 4, 2)
    told = sent(world)
    assert sha256_of("open") in told and sha256_of("edited") in told
    for secret in (sha256_of("private"), sha256_of("beside"), sha256_of("trashed"), "abcdef123456", "4711"):
        assert secret not in told


def test_what_nobody_else_can_know_is_not_asked_for(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    put("model-00001-of-00002")
    put("folder", replace(LORA, kind="checkpoint", format="diffusers"))
    put("empty", sha256=EMPTY_SHA256)
    catalog.set_missing([put("gone")])
    report = sync(catalog, "", net)
    assert (report.asked, report.requests) == (0, 0) and not world.asked


# -- files whose headers were edited -----------------------------------------------------------------------------------


def edited(
    put: Callable[..., int], name: str, autov3: str | None, embedded: str | None = None, **columns: object
) -> int:
    identity = replace(LORA, facts={"embedded_hash": embedded} if embedded else {})
    return put(name, identity, Hashes(sha256=sha256_of(name), autov3=autov3), **columns)


def test_an_edited_lora_is_known_by_its_weights(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    by_digits, by_header = edited(put, "a", "aaaaaaaaaaaa"), edited(put, "b", None, "b" * 64)
    for letter, number in (("a", 1), ("b", 2)):
        offer(
            f"original {letter}",
            number,
            number + 10,
            {"hashes": {"AutoV3": letter.upper() * 12}},
            trainedWords=[f"w{letter}"],
        )
    report = sync(catalog, "", net)
    assert [(one.id, one.model_id, one.matched_by) for one in report.found] == [
        (by_digits, "1", "autov3"),
        (by_header, "2", "autov3"),
    ]
    assert catalog.get(by_header).trigger_words == ["wb"] and catalog.get(by_digits).provided["creator"] == "mara"
    world.asked.clear()
    assert sync(catalog, "", net).requests == 0 and not world.asked, "kept like any other answer"


def test_an_edited_lora_stays_known_when_its_answer_is_old(
    catalog: Catalog, net: Net, put: Callable[..., int], offer: Callable[..., None], world: World
) -> None:
    number = edited(put, "a", "aaaaaaaaaaaa")
    offer("original a", 1, 11, {"hashes": {"AutoV3": "A" * 12}})
    sync(catalog, "", net)
    assert sync(catalog, "", net, refresh=True).vanished == []
    assert catalog.get(number).provided["matched_by"] == "autov3" and "gone" not in catalog.get(number).provided
    del world.civitai.versions[11]
    assert [one.id for one in sync(catalog, "", net, refresh=True).vanished] == [number]
    assert catalog.get(number).provided["version_id"] == 11


@pytest.mark.parametrize(
    ("own", "embedded", "theirs", "size"),
    [
        (None, "b" * 64, "B" * 12, 1000),  # a resized copy keeps the hash of the original in its header
        ("aaaaaaaaaaaa", None, "C" * 12, 256),  # an answer about other weights
        ("aaaaaaaaaaaa", None, "A" * 12, 100_000_000),  # no header is so large
    ],
)
def test_an_answer_by_weights_must_fit(
    catalog: Catalog, net: Net, put: Callable[..., int], offer: Callable[..., None], world: World,
    own: str | None, embedded: str | None, theirs: str, size: int,
) -> None:  # fmt: skip
    edited(put, "a", own, embedded, size=size)
    offer("original", 1, 11, {"hashes": {"AutoV3": theirs}})
    if theirs.startswith("C"):
        world.fault("GET civitai /api/v1/model-versions/by-hash/*", faults.status(200, world.civitai.version_json(11)))
    report = sync(catalog, "", net)
    assert report.found == [] and report.unknown == 1
    assert len(world.asked_of("civitai", "GET", "by-hash")) == 1


def test_the_hash_of_nothing_and_other_kinds_are_not_asked_for_by_weights(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    edited(put, "a", EMPTY_SHA256[:12])
    edited(put, "b", None, EMPTY_SHA256)
    put("c", replace(LORA, kind="checkpoint"), Hashes(sha256=sha256_of("c"), autov3="c" * 12))
    assert sync(catalog, "", net).requests == 1
    assert world.asked_of("civitai", "GET") == []


def test_one_run_asks_for_a_hundred_by_weights_and_says_what_is_left(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int]
) -> None:
    for n in range(103):
        edited(put, f"f{n}", f"{n:012x}")
    assert sync(catalog, "", net).left == 3
    report = sync(catalog, "", net)
    assert (report.left, report.requests) == (0, 3)
    assert sync(catalog, "", net).requests == 0
    assert len(world.asked_of("civitai", "GET", "by-hash")) == 103


# -- what has vanished -------------------------------------------------------------------------------------------------


def test_what_vanished_is_told_and_what_was_said_of_it_stays(
    catalog: Catalog, net: Net, world: World, put: Callable[..., int], offer: Callable[..., None]
) -> None:
    numbers = [put(name) for name in ("version", "model", "taken", "stays")]
    for model, name in enumerate(("version", "model", "taken", "stays"), 1):
        offer(name, model, model + 10, trainedWords=[f"w{name}"], title=f"The {name}")
    beside = put("beside", sidecar='{"model_id": 77, "source": "https://civitai.com/models/77"}', title="Beside")
    assert [one.id for one in sync(catalog, "", net).vanished] == [beside], "no model 77"
    del world.civitai.versions[11], world.civitai.versions[12], world.civitai.models[2]
    world.civitai.models[3]["mode"] = "TakenDown"  # its pictures are gone, its files are not
    report = sync(catalog, "", net, refresh=True)
    told = {one.id: one for one in report.vanished}
    assert sorted(told) == sorted([*numbers[:2], beside])
    assert (told[numbers[0]].title, told[numbers[0]].model_id) == ("The version", "1")
    assert told[beside].title == "Beside"
    for number, name in zip(numbers, ("version", "model", "taken", "stays"), strict=True):
        assert catalog.get(number).trigger_words == [f"w{name}"], "nothing is lost"
    since = catalog.get(numbers[0]).provided["gone"]
    again = {one.id: one.since for one in sync(catalog, "", net, refresh=True).vanished}
    assert again[numbers[0]] == since, "when it was first missed"
    offer("version", 1, 11)
    assert numbers[0] not in {one.id for one in sync(catalog, "", net, refresh=True).vanished}
    assert "gone" not in catalog.get(numbers[0]).provided
