"""Batches: each original beside its result, failures that stop nobody, and originals that go only when proven."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pickled import Makes, same

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.convert import batch
from modelhub.convert.batch import Item, is_conversion, plan_batch, run_batch, same_bytes
from modelhub.convert.converting import Options, planned
from modelhub.convert.one import Library, Wish
from modelhub.errors import CancelledError, FileError, NoSpaceError, UsageError
from modelhub.formats.safetensors import read_header
from modelhub.jobs import Event, Job
from modelhub.scan.adding import add_file


class Shelf:
    """Pickles in a folder that a catalog knows, and a trash that only notes what it is given."""

    def __init__(self, catalog: Catalog, folder: Path, torch: ModuleType) -> None:
        self.catalog, self.folder, self.torch = catalog, folder, torch
        self.trashed: list[list[str]] = []
        self.refused: set[str] = set()
        self.library = Library(catalog, lambda path, hashes: add_file(catalog, path, hashes), self.trash)

    def add(self, name: str, value: Any = None) -> Asset:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        self.torch.save(self.weights(name) if value is None else value, path)
        return self.catalog.get(add_file(self.catalog, path))

    def weights(self, name: str) -> dict[str, Any]:
        return {f"{name}.weight": self.torch.arange(20.0) + len(name)}

    def trash(self, assets: Sequence[Asset]) -> int:
        if self.refused & {asset.name for asset in assets}:
            raise FileError("It cannot be moved.")
        self.trashed.append([asset.name for asset in assets])
        return len(self.trashed)

    def convert(self, wish: Wish | None = None, to: Path | None = None, job: Job | None = None) -> dict[str, Item]:
        wish, job = wish or Wish(), job or Job("convert")
        items = plan_batch(self.catalog.find("format:pickle", sort="path"), to, wish, job)
        return {item.asset.name: item for item in run_batch(self.library, items, wish, job)}

    @property
    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def shelf(torch: ModuleType, tmp_path: Path) -> Iterator[Shelf]:
    (folder := tmp_path / "models").mkdir()
    with Catalog.open() as catalog:
        yield Shelf(catalog, folder, torch)


TRASH = Wish(trash=True)


def test_each_goes_beside_its_original_and_words_go_along(shelf):
    one = shelf.add("a.ckpt")
    shelf.add("deep/b.pt")
    shelf.catalog.tag([one.id], add=["good"])
    shelf.catalog.rate(one.id, 4)
    shelf.catalog.note(one.id, "mine")
    shelf.catalog.override([one.id], {"kind": "lora"})
    found = shelf.convert()
    assert shelf.files == ["a.ckpt", "a.safetensors", "deep/b.pt", "deep/b.safetensors"]
    same(shelf.folder / "a.safetensors", shelf.weights("a.ckpt"))
    new = shelf.catalog.get(found["a.ckpt"].id)
    assert (new.path, new.tags, new.rating, new.notes, new.said) == (
        shelf.folder / "a.safetensors", ["good"], 4, "mine", {"kind": "lora"},
    )  # fmt: skip
    assert shelf.catalog.get(one.id).tags == ["good"] and shelf.trashed == []
    assert {item.status for item in found.values()} == {"converted"}


def test_failures_stop_nobody(shelf, tmp_path):
    evil = shelf.add("evil.ckpt").path
    shelf.torch.save({"w": shelf.torch.ones(2), "x": Makes(tmp_path / "marker")}, evil)
    shelf.add("broken.pt").path.write_bytes(b"PK\3\4 and no more")
    shelf.add("gone.pt").path.unlink()
    missing = shelf.add("missing.pt")
    missing.path.unlink()
    shelf.catalog.set_missing([missing.id])
    shelf.add("good.pt")
    found = shelf.convert(TRASH)
    assert {name: (item.status, item.code) for name, item in found.items()} == {
        "evil.ckpt": ("failed", "unsafe-pickle"), "broken.pt": ("failed", "corrupt-file"),
        "gone.pt": ("failed", "vanished"), "missing.pt": ("skipped", ""), "good.pt": ("converted", ""),
    }  # fmt: skip
    assert {item.exit_code for item in found.values()} == {0, 3}
    assert shelf.trashed == [["good.pt"]] and not (tmp_path / "marker").exists()


def test_one_that_breaks_while_it_is_written(shelf):
    shelf.add("a.pt")
    shelf.add("b.pt")

    def spoil(event: Event) -> None:
        if event.phase == "writing 1 of 2":
            (shelf.folder / "a.pt").touch()

    found = shelf.convert(job=Job("convert", spoil))
    assert [(name, item.status) for name, item in found.items()] == [("a.pt", "failed"), ("b.pt", "converted")]
    assert shelf.files == ["a.pt", "b.pt", "b.safetensors"]


# -- run again ---------------------------------------------------------------------------------------------------------


def test_what_was_stopped_goes_on(shelf):
    for name in ("a.pt", "b.pt", "c.pt"):
        shelf.add(name)
    job = Job("convert", lambda event: job.cancel() if event.phase.startswith("writing 2") and event.done else None)
    with pytest.raises(CancelledError) as stopped:
        shelf.convert(TRASH, job=job)
    assert "1 file converted" in stopped.value.message and "originals" in stopped.value.hint
    assert shelf.files == ["a.pt", "a.safetensors", "b.pt", "c.pt"] and shelf.trashed == []
    found = shelf.convert(TRASH)
    assert [item.status for item in found.values()] == ["already", "converted", "converted"]
    assert shelf.trashed == [["a.pt", "b.pt", "c.pt"]], "one entry for all"
    assert {item.trashed for item in found.values()} == {1}


def test_a_file_in_the_way_is_left_alone_without_force(shelf, make_file):
    shelf.add("a.pt")
    other = make_file(shelf.folder / "a.safetensors", {"x": shelf.torch.ones(1)})
    before = other.read_bytes()
    (item,) = shelf.convert(TRASH).values()
    assert item.status == "skipped" and "--force" in item.message and other.read_bytes() == before
    assert shelf.trashed == []
    (item,) = shelf.convert(Wish(force=True)).values()
    assert item.status == "converted"
    same(other, shelf.weights("a.pt"))


def test_an_original_goes_only_if_the_result_that_stands_is_equal(shelf, make_file):
    asset = shelf.add("a.pt")
    shelf.catalog.tag([asset.id], add=["mine"])
    other = make_file(shelf.folder / "a.safetensors", {"a.pt.weight": shelf.torch.zeros(20)})
    (plan,) = plan_batch(shelf.catalog.find("format:pickle"), None, Wish())
    assert plan.status == "already" and "compared first" in plan.message, "the same names and shapes, and younger"
    for wish in (Wish(), TRASH):
        (item,) = shelf.convert(wish).values()
        assert item.status == "skipped" and "other numbers" in item.message and shelf.trashed == []
    assert shelf.catalog.by_path(other) is None, "and nobody's words are given to it"
    with planned(asset.path, Options()) as conversion:
        assert not same_bytes(conversion.view, item.goal)
        make_file(item.goal, shelf.weights("a.pt"))
        assert same_bytes(conversion.view, item.goal)
        make_file(item.goal, {"other": shelf.torch.zeros(20)})
        assert not same_bytes(conversion.view, item.goal)


def test_the_hash_of_the_source_tells_its_conversion(shelf):
    shelf.add("a.pt")
    (item,) = shelf.convert(TRASH).values()
    said = read_header(item.goal).metadata["modelhub.source_sha256"]
    asset = shelf.catalog.get(item.asset.id)
    assert asset.sha256 == said
    with planned(asset.path, Options()) as conversion:
        assert is_conversion(read_header(item.goal), Item(asset, item.goal), conversion)
    shelf.torch.save({"a.pt.weight": shelf.torch.zeros(20)}, asset.path)
    shelf.catalog.set_hashes(add_file(shelf.catalog, asset.path), SimpleNamespace(as_dict=lambda: {"sha256": "0" * 64}))
    (item,) = shelf.convert().values()
    assert item.status == "skipped" and "other numbers" in item.message


@pytest.mark.parametrize("hashed", [True, False])
def test_another_model_of_the_same_name_and_age_is_not_converted_already(shelf, hashed):
    asset = shelf.add("a.pt")
    shelf.convert(Wish(hashes=hashed))
    (item,) = shelf.convert().values()
    assert (item.status, item.trusted) == ("already", True)
    before = asset.path.stat()
    (newer := shelf.folder / "newer").write_bytes(b"")
    shelf.torch.save({"a.pt.weight": shelf.torch.zeros(20)}, newer)
    os.utime(newer, ns=(before.st_atime_ns, before.st_mtime_ns))
    newer.replace(asset.path)  # as a copy that keeps times leaves it, and no scan has seen it
    (item,) = shelf.convert().values()
    assert item.status == "skipped" and "other numbers" in item.message
    (item,) = shelf.convert(Wish(force=True)).values()
    assert item.status == "converted"
    same(item.goal, {"a.pt.weight": shelf.torch.zeros(20)})


def test_the_conversion_of_another_file_of_the_same_stem_is_told_apart(shelf):
    shelf.add("a.ckpt", {"w": shelf.torch.zeros(4)})
    shelf.convert()
    shelf.catalog.remove([1])
    (shelf.folder / "a.ckpt").unlink()
    shelf.add("a.pt", {"w": shelf.torch.ones(4)})
    (item,) = shelf.convert(TRASH).values()
    assert item.status == "skipped" and "other numbers" in item.message and shelf.trashed == []


def test_two_of_one_name(shelf):
    shelf.add("a.ckpt")
    shelf.add("a.pt")
    (folder := shelf.folder.parent / "out").mkdir()
    for to in (None, folder):
        found = shelf.convert(to=to)
        assert [item.status for item in found.values()] == ["converted", "skipped"]
        assert "#1" in found["a.pt"].message
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors"]


def test_a_name_is_free_again_when_the_first_of_it_fails(shelf):
    shelf.add("a.ckpt").path.write_bytes(b"PK\3\4")
    shelf.add("a.pt")
    found = shelf.convert()
    assert [item.status for item in found.values()] == ["failed", "converted"]


# -- originals ---------------------------------------------------------------------------------------------------------


def hypernetwork(torch: ModuleType) -> dict[Any, Any]:
    layers = [{"linear.0.weight": torch.randn(1536, 768), "linear.0.bias": torch.zeros(1536)}] * 2
    return {768: layers, "name": "h"}


STAYS: dict[str, Callable[[ModuleType], Any]] = {
    "hypernetwork": hypernetwork,
    "a second set of weights": lambda torch: {"params_ema": {"w": torch.ones(2)}, "params": {"w": torch.zeros(2)}},
    "a tensor that safetensors cannot hold": lambda torch: {"w": torch.ones(2), "s": torch.eye(3).to_sparse()},
}
GOES: dict[str, Callable[[ModuleType], Any]] = {
    "training leftovers": lambda torch: {
        "state_dict": {"w": torch.ones(2)}, "optimizer_states": [{"m": torch.ones(2)}], "callbacks": {"x": 1},
        "lr_schedulers": [{"y": torch.ones(1)}],
    },
    "an inversion": lambda torch: {"string_to_param": {"*": torch.ones(1, 768)}, "string_to_token": {"*": torch.tensor(1)}},
    "tied weights": lambda torch: dict.fromkeys(("a", "b"), torch.ones(2)),
}  # fmt: skip


@pytest.mark.parametrize("case", STAYS)
def test_originals_that_hold_more_than_the_result_stay(case, shelf):
    shelf.add("a.pt", STAYS[case](shelf.torch))
    (item,) = shelf.convert(TRASH).values()
    assert item.status == "converted" and item.stays and item.trashed is None and shelf.trashed == []


@pytest.mark.parametrize("case", GOES)
def test_originals_that_are_all_in_the_result_go(case, shelf):
    shelf.add("a.pt", GOES[case](shelf.torch))
    (item,) = shelf.convert(TRASH).values()
    assert (item.status, item.stays, shelf.trashed) == ("converted", "", [["a.pt"]])


def test_a_precision_that_was_asked_for_lets_originals_go_but_not_when_numbers_were_lost(shelf):
    shelf.add("a.pt", {"w": shelf.torch.ones(4)})
    shelf.add("big.pt", {"w": shelf.torch.full((4,), 1e6)})
    for status in ("converted", "already"):
        shelf.trashed.clear()
        found = shelf.convert(Wish(Options(dtype="fp16"), trash=True))
        assert {item.status for item in found.values()} == {status}
        assert shelf.trashed == [["a.pt"]] and "did not fit" in found["big.pt"].stays


def test_a_salvaged_original_goes_and_a_damaged_one_stays(shelf, tmp_path):
    evil = shelf.add("evil.ckpt")
    shelf.torch.save({"w": shelf.torch.ones(2), "x": Makes(tmp_path / "marker")}, evil.path)
    hurt = shelf.add("hurt.pt")
    data = bytearray(hurt.path.read_bytes())
    data[data.index(shelf.weights("hurt.pt")["hurt.pt.weight"].numpy().tobytes())] ^= 1
    hurt.path.write_bytes(data)
    found = shelf.convert(Wish(Options(salvage=True), trash=True))
    assert {item.status for item in found.values()} == {"converted"} and not (tmp_path / "marker").exists()
    assert shelf.trashed == [["evil.ckpt"]] and "damaged" in found["hurt.pt"].stays


def test_sidecars_keep_an_original_that_is_converted_to_another_place(shelf):
    shelf.add("a.pt")
    (shelf.folder / "a.json").write_text("{}")
    (folder := shelf.folder.parent / "out").mkdir()
    (item,) = shelf.convert(TRASH, to=folder).values()
    assert item.status == "converted" and "beside" in item.stays and shelf.trashed == []
    (item,) = shelf.convert(TRASH).values()
    assert item.stays == "" and shelf.trashed == [["a.pt"]], "the result has the same stem beside them"


def test_one_original_that_cannot_be_moved_does_not_keep_the_others(shelf):
    shelf.add("a.pt")
    shelf.add("b.pt")
    shelf.refused = {"a.pt"}
    found = shelf.convert(TRASH)
    assert shelf.trashed == [["b.pt"]] and found["a.pt"].stays == "It cannot be moved." and not found["b.pt"].stays


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_link_is_no_result(make, shelf, make_file):
    """A safetensors file under a wrong name, and a link that has the right one: all would be gone."""
    path = make_file(shelf.folder / "a.safetensors", {"w": shelf.torch.ones(2)}).rename(shelf.folder / "a.ckpt")
    add_file(shelf.catalog, path)
    make(shelf.folder / "a.safetensors", path)
    items = plan_batch(shelf.catalog.find(""), None, TRASH)
    list(run_batch(shelf.library, items, TRASH))
    assert [item.status for item in items] == ["skipped"] and shelf.trashed == []


def test_a_result_in_the_place_of_an_old_link_does_not_go_with_the_original(shelf):
    asset = shelf.add("a.ckpt")
    shelf.catalog.set_links({str(shelf.folder / "a.safetensors"): asset.id})  # a link that was removed since the scan
    went: list[Asset] = []
    shelf.library = Library(shelf.catalog, shelf.library.add, lambda assets: went.extend(assets) or 1)
    (item,) = shelf.convert(TRASH).values()
    assert item.trashed == 1 and [one.links for one in went] == [[]]


def test_no_original_is_written_over_by_another(shelf, make_file):
    path = shelf.add("a.pt").path.rename(shelf.folder / "a.safetensors")  # a pickle that calls itself otherwise
    shelf.catalog.remove([1])
    add_file(shelf.catalog, path)
    shelf.add("a.ckpt")
    before = path.read_bytes()
    found = shelf.convert(Wish(force=True))
    assert found["a.ckpt"].status == "skipped" and path.read_bytes() == before
    assert (
        found["a.safetensors"].goal.name == "a-converted.safetensors" and found["a.safetensors"].status == "converted"
    )


# -- what happens meanwhile ----------------------------------------------------------------------------------------------


def meanwhile(shelf: Shelf, act: Callable[[], object], wish: Wish = TRASH) -> dict[str, Item]:
    """Convert all, and do something when everything is converted and nothing has gone to the trash yet."""
    items = plan_batch(shelf.catalog.find("format:pickle", sort="path"), None, wish)
    for at, _ in enumerate(run_batch(shelf.library, items, wish), 1):
        if at == len(items):
            act()
    return {item.asset.name: item for item in items}


@pytest.mark.parametrize("again", [False, True])
def test_an_original_or_a_result_that_has_changed_since_keeps_the_original(shelf, again):
    for name in ("a.pt", "b.pt", "c.pt", "d.pt", "e.pt"):
        shelf.add(name)
    if again:
        shelf.convert()

    def act() -> None:
        (shelf.folder / "new").write_bytes((shelf.folder / "a.pt").read_bytes())
        (shelf.folder / "new").replace(shelf.folder / "a.pt")
        (shelf.folder / "b.safetensors").unlink()
        (shelf.folder / "c.safetensors").write_bytes(b"")
        (shelf.folder / "d.pt").rename(shelf.folder / "moved.pt")

    found = meanwhile(shelf, act)
    assert shelf.trashed == [["e.pt"]] and {item.trashed for item in found.values()} == {None, 1}
    assert [name for name, item in found.items() if item.stays] == ["a.pt", "b.pt", "c.pt", "d.pt"]


def test_an_original_that_another_process_takes_away_does_not_keep_the_others(shelf):
    for name in ("a.pt", "b.pt", "c.pt"):
        shelf.add(name)

    def act() -> None:
        shelf.catalog.remove([1])
        shelf.catalog.set_trashed(2, None, shelf.folder / "trash" / "b.pt")

    found = meanwhile(shelf, act)
    assert shelf.trashed == [["c.pt"]]
    assert "no longer" in found["a.pt"].stays and "no longer" in found["b.pt"].stays and not found["c.pt"].stays


def test_a_catalog_that_cannot_be_written_to_is_told_with_what_stands(shelf):
    shelf.add("a.pt")

    def refuse(path: Path, hashes: object) -> int:
        raise FileError("The catalog is in use.", "Wait.")

    shelf.library, library = Library(shelf.catalog, refuse, shelf.trash), shelf.library
    (item,) = shelf.convert(TRASH).values()
    assert item.status == "failed" and "a.safetensors was written" in item.message and "in use" in item.message
    assert shelf.trashed == [] and shelf.files == ["a.pt", "a.safetensors"]
    shelf.library = library
    (item,) = shelf.convert(TRASH).values()
    assert item.status == "already" and shelf.catalog.get(item.id).path == item.goal and shelf.trashed == [["a.pt"]]


def test_a_name_that_is_too_long_is_told_and_stops_nobody(shelf):
    shelf.add("a.pt")
    path = shelf.folder / f"{'n' * 250}.ckpt"
    shutil.copy(shelf.folder / "a.pt", path)
    add_file(shelf.catalog, path)
    found = shelf.convert(TRASH)
    assert found[path.name].status == "failed" and "longer than" in found[path.name].message
    assert shelf.trashed == [["a.pt"]]


def test_a_link_that_leads_nowhere_is_no_free_name(shelf):
    shelf.add("a.pt")
    link = shelf.folder / "a.safetensors"
    link.symlink_to(shelf.folder / "disk that is not mounted" / "a.safetensors")
    (item,) = shelf.convert(TRASH).values()
    assert item.status == "failed" and item.code == "file-exists" and link.is_symlink() and shelf.trashed == []


# -- room --------------------------------------------------------------------------------------------------------------


def test_room_for_all_is_looked_at_before_anything_is_written(shelf, monkeypatch):
    shelf.add("a.pt")
    shelf.add("b.pt")
    sizes = [item.size for item in plan_batch(shelf.catalog.find(""), None, Wish())]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=sum(sizes) - 1))
    with pytest.raises(NoSpaceError) as refused:
        shelf.convert()
    assert "trash" in refused.value.hint and shelf.files == ["a.pt", "b.pt"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=sum(sizes)))
    assert {item.status for item in shelf.convert().values()} == {"converted"}
    assert [item.goal.stat().st_size for item in shelf.convert().values()] == sizes


def test_a_folder_that_is_not_there(shelf, tmp_path):
    with pytest.raises(UsageError):
        plan_batch([], tmp_path / "nowhere", Wish())
    assert batch.plan_batch([], None, Wish()) == []
