"""Before the first byte it is told what will come, where to, what is there already, and whether there is room."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from getting import Getter, sha256
from world import samples

from modelhub.catalog.store import Catalog
from modelhub.errors import EarlyAccessError, FileExistsAlreadyError, NoSpaceError, UsageError
from modelhub.fetch.choosing import Choice, Wish
from modelhub.fetch.net import Net
from modelhub.fetch.offer import Offer, RemoteFile
from modelhub.fetch.order import Order
from modelhub.fetch.planning.ordering import Options, safe_paths
from modelhub.fetch.planning.plans import Planned, plan
from modelhub.fetch.queue import add
from modelhub.formats.sidecars import SidecarFacts
from modelhub.scan.adding import add_file

LORA = samples.lora(seed=11)


def offer(*files: RemoteFile, **words) -> Offer:
    said = {"kind": "lora", "architecture": "sdxl", **words}
    return Offer("what was typed", "civitai:1@2", "civitai", "A style", "v1", files=files, **said)


def remote(name: str = "a.safetensors", data: bytes = LORA, **words) -> RemoteFile:
    said = {"size": len(data), "hashes": {"sha256": sha256(data)}, "format": "safetensors", **words}
    return RemoteFile(name, f"http://127.0.0.1:1/{name}", **said)


def planned(getter: Getter, *offers: Offer, **options) -> list[Planned]:
    chosen = [(one, Choice(one.files)) for one in offers]
    return list(plan(getter.catalog, chosen, Options(**options)).items)


def test_a_plan_says_what_comes_and_where_to(getter: Getter):
    facts = SidecarFacts(name="A style", base_model="SDXL 1.0", trigger_words=("style",), hashes={"sha256": "0" * 64})
    made = plan(getter.catalog, [(offer(remote(), facts=facts), Choice((remote(),)))])
    (one,) = made.items
    goal = getter.models / "loras" / "a.safetensors"
    assert (one.status, one.path, one.size, one.to_come, one.error) == ("new", goal, len(LORA), len(LORA), None)
    assert one.order is not None
    assert not one.order.fixed
    assert one.order.library == getter.models
    assert one.order.facts["trigger_words"] == ["style"]
    assert "hashes" not in one.order.facts, "they are of one file, and stand with it"
    assert made.orders == (one.order,)
    assert made.to_come == len(LORA)
    shown = made.as_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["items"][0]["path"] == str(goal)
    assert shown["items"][0]["sha256"] == sha256(LORA)
    assert Order.from_dict(json.loads(json.dumps(one.order.as_dict()))) == one.order
    assert list(getter.models.rglob("*.safetensors")) == [], "nothing is written"


def test_what_the_catalog_has_is_not_fetched(getter: Getter):
    path = getter.models / "elsewhere.safetensors"
    path.write_bytes(LORA)
    number = add_file(getter.catalog, path)
    (one,) = planned(getter, offer(remote()))
    assert (one.status, one.path, one.asset, one.to_come) == ("owned", path, number, 0)
    assert getter.catalog.get(number).sha256 == sha256(LORA), "it was hashed for that, and that is kept"
    path.unlink()
    (one,) = planned(getter, offer(remote()))
    assert one.status == "new", "the catalog knows it, and it is gone"


def test_a_file_of_the_same_size_is_another(getter: Getter):
    path = getter.models / "loras" / "other.safetensors"
    path.write_bytes(LORA[:-1] + b"x")
    add_file(getter.catalog, path)
    (one,) = planned(getter, offer(remote()))
    assert one.status == "new"


def test_a_file_that_was_changed_is_no_longer_owned(getter: Getter):
    path = getter.models / "loras" / "other.safetensors"
    path.write_bytes(LORA)
    number = add_file(getter.catalog, path)
    assert planned(getter, offer(remote()))[0].status == "owned"
    path.write_bytes(LORA[:-4] + b"xxxx")
    assert planned(getter, offer(remote()))[0].status == "new"
    assert number


def test_with_force_what_is_owned_comes_again(getter: Getter):
    path = getter.models / "loras" / "a.safetensors"
    path.write_bytes(LORA)
    add_file(getter.catalog, path)
    (one,) = planned(getter, offer(remote()), replace=True)
    assert (one.status, one.path) == ("new", path)
    assert one.order is not None
    assert one.order.replace


def test_the_same_bytes_at_the_goal_are_owned_though_no_catalog_knows_them(getter: Getter):
    path = getter.models / "loras" / "a.safetensors"
    path.write_bytes(LORA)
    (one,) = planned(getter, offer(remote()))
    assert (one.status, one.path, one.asset) == ("owned", path, None)


@pytest.mark.parametrize("name", ["a.safetensors", "A.SAFETENSORS"])
def test_another_file_of_that_name_is_a_conflict(getter: Getter, name: str):
    path = getter.models / "loras" / name
    path.write_bytes(b"mine")
    (one,) = planned(getter, offer(remote()))
    assert one.status == "conflict"
    assert isinstance(one.error, FileExistsAlreadyError)
    assert str(path) in one.error.message
    assert "--as" in one.error.hint
    assert "--force" in one.error.hint
    assert planned(getter, offer(remote()), name="mine too")[0].path == path.with_name("mine too.safetensors")


def test_a_name_that_the_queue_has_promised_is_taken(getter: Getter):
    add(getter.catalog, [one.order for one in planned(getter, offer(remote())) if one.order])
    assert planned(getter, offer(remote()))[0].status == "new", "the same once more is no conflict"
    (one,) = planned(getter, offer(remote(data=LORA + b"2")))
    assert one.status == "conflict"
    assert "queue (waiting)" in one.why and "modelhub queue remove 1" in one.error.hint, "also one that failed is named"


def test_one_file_twice_in_one_call_comes_once(getter: Getter):
    first, second = planned(getter, offer(remote()), offer(remote("b.safetensors")))
    assert (first.status, second.status) == ("new", "owned")
    assert second.path == first.path
    assert "a.safetensors" in second.why


def test_one_folder_twice_in_one_call_comes_once(getter: Getter):
    getter.world.add_repo("someone/tiny-model", samples.diffusers())
    first, second = getter.plan("someone/tiny-model", "https://huggingface.co/someone/tiny-model").items
    assert (first.status, second.status) == ("new", "owned")
    assert second.path == first.path


def test_two_files_of_one_name_get_two(getter: Getter):
    both = planned(getter, offer(remote()), offer(remote("A.safetensors", LORA + b"2")))
    assert [one.status for one in both] == ["new", "new"]
    assert [one.path.name for one in both if one.path] == ["a.safetensors", "A (2).safetensors"]


def test_what_cannot_be_had_is_refused_and_stops_nothing_else(getter: Getter):
    trouble = EarlyAccessError("It costs until Friday.", "Wait.")
    first, second = planned(getter, offer(remote("x.safetensors"), trouble=trouble), offer(remote()))
    assert (first.status, first.error, first.order) == ("refused", trouble, None)
    assert second.status == "new"


def test_files_go_by_what_they_are_not_by_their_model(getter: Getter):
    files = (
        remote("m.safetensors"),
        remote("m.vae.safetensors", LORA + b"1", role="vae"),
        remote("t.safetensors", LORA + b"2", role="text-encoder"),
    )
    found = planned(getter, offer(*files, kind="checkpoint"))
    assert [one.path.parent.name for one in found if one.path] == ["checkpoints", "vae", "text_encoders"]


def test_hostile_names_stay_in_their_folder(getter: Getter):
    for name in (
        "../../../etc/cron.d/x",
        "..\\..\\x.safetensors",
        "/abs.safetensors",
        ".hidden",
        "CON",
        "a\0b",
        "\ud800",
    ):
        (one,) = planned(getter, offer(remote(name)))
        assert one.path is not None
        assert one.path.parent == getter.models / "loras"
        assert not one.path.name.startswith(".")


def test_one_name_for_several_files_is_refused(getter: Getter):
    with pytest.raises(UsageError, match="--as"):
        planned(getter, offer(remote(), remote("b.safetensors")), name="x")


def test_a_named_folder_is_where_it_goes(getter: Getter, tmp_path: Path):
    (one,) = planned(getter, offer(remote()), to=tmp_path / "new" / "deep")
    assert one.path == tmp_path / "new" / "deep" / "a.safetensors"
    assert one.order is not None
    assert one.order.fixed
    assert not (tmp_path / "new").exists()


def test_without_a_folder_nothing_is_planned(home: Path):
    with Catalog.open(home) as catalog, pytest.raises(UsageError) as caught:
        plan(catalog, [(offer(remote()), Choice((remote(),)))])
    assert "--to" in caught.value.hint


# -- room --------------------------------------------------------------------------------------------------------------


def test_too_little_room_is_told_of_all_together(getter: Getter, tmp_path: Path):
    free = plan(getter.catalog, [(offer(remote()), Choice((remote(),)))]).disks[0].free
    halves = [replace(remote(f"{n}.safetensors", LORA + bytes([n])), size=free * 2 // 3) for n in range(2)]
    one = plan(getter.catalog, [(offer(halves[0]), Choice((halves[0],)))])
    one.check()
    both = plan(getter.catalog, [(offer(*halves), Choice(tuple(halves)))])
    with pytest.raises(NoSpaceError) as caught:
        both.check()
    assert "--to" in caught.value.hint
    assert str(getter.models) in caught.value.message
    assert len(both.disks) == 1
    assert [one.status for one in both.items] == ["new", "new"], "the plan can still be shown"


def test_what_is_owned_needs_no_room(getter: Getter):
    path = getter.models / "loras" / "a.safetensors"
    path.write_bytes(LORA)
    made = plan(getter.catalog, [(offer(remote()), Choice((remote(),)))])
    assert made.disks == ()
    made.check()


def test_each_disk_is_counted_by_itself(getter: Getter, tmp_path: Path):
    from modelhub.fetch.planning.space import disks

    found = disks([(getter.models / "a", 5), (getter.models / "new" / "b", 7), (Path("/dev/shm/x"), 11)])
    if len(found) == 1:
        pytest.skip("there is no second file system")
    assert [one.needed for one in found] == [12, 11]
    assert all(one.free > 0 for one in found)


# -- what nobody says --------------------------------------------------------------------------------------------------


def test_a_file_of_the_web_is_looked_at_before_it_comes(getter: Getter):
    url = getter.world.add_file("thing.safetensors", samples.model("vae-sd"))
    (one,) = getter.plan(url).items
    assert one.path == getter.models / "vae" / "thing.safetensors"
    assert one.order is not None
    assert one.order.kind == "vae"
    assert one.to_come == len(samples.model("vae-sd"))


def test_a_file_of_a_repository_is_looked_at_before_it_comes(getter: Getter):
    getter.world.add_repo("someone/things", {"one.safetensors": LORA, "two.safetensors": samples.model("vae-sd")})
    (one,) = getter.plan("someone/things:two.safetensors").items
    assert one.path == getter.models / "vae" / "two.safetensors"
    (two,) = getter.plan("someone/things:one.safetensors").items
    assert two.path == getter.models / "loras" / "one.safetensors"


def test_nothing_is_looked_at_where_it_changes_nothing(getter: Getter, tmp_path: Path):
    url = getter.world.add_file("thing.safetensors", samples.model("vae-sd"))
    before = len(getter.world.asked)
    getter.plan(url, to=tmp_path / "new")
    ranges = [one for one in getter.world.asked[before:] if (one.range or "").startswith("bytes=0-524287")]
    assert ranges == []


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_is_one_order(getter: Getter):
    getter.world.add_repo("someone/tiny-model", samples.diffusers())
    (one,) = getter.plan("someone/tiny-model").items
    assert one.order is not None
    assert one.order.whole
    assert one.path == getter.models / "diffusers" / "tiny-model"
    assert one.size == sum(file.size or 0 for file in one.order.files)
    assert "unet/config.json" in [file.path for file in one.order.files]


def test_one_file_of_a_folder_is_a_file(getter: Getter):
    getter.world.add_repo("someone/tiny-model", samples.diffusers())
    wish = Wish(pattern="vae/diffusion_pytorch_model.fp16.safetensors")
    (one,) = getter.plan("someone/tiny-model", wish=wish).items
    assert one.order is not None
    assert not one.order.whole
    assert one.path is not None
    assert one.path.name == "diffusion_pytorch_model.fp16.safetensors"


def test_paths_in_a_folder_lead_nowhere_else_and_never_meet():
    names = ["../../x.bin", "unet/../x.bin", "/x.bin", "Unet/X.bin", "unet/x.bin", "unet/config.json"]
    found = [file.path for file in safe_paths([RemoteFile(name, "http://x", path=name) for name in names])]
    assert len({path.casefold() for path in found}) == len(names)
    assert all(".." not in path.split("/") and not path.startswith("/") for path in found)
    assert found[-1] == "unet/config.json"


def test_a_net_is_not_needed(getter: Getter):
    url = getter.world.add_file("thing.safetensors", samples.model("vae-sd"))
    from modelhub.fetch.offers import find_offer

    with Net() as net:
        found = find_offer(url, net)
    (one,) = plan(getter.catalog, [(found, Choice(found.files))]).items
    assert one.path == getter.models / "other" / "thing.safetensors"


def test_no_file_replaces_a_folder_and_that_is_known_before_it_comes(getter: Getter):
    (getter.models / "loras" / "a.safetensors").mkdir()
    (one,) = planned(getter, offer(remote()), replace=True)
    assert one.status == "conflict"
    assert "is a folder" in one.why
