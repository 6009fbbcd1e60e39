"""What arrives is looked at, filed by what it is, and known: with its facts, its picture, and sidecars if wanted."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from getting import Getter, sha256
from PIL import Image
from world import samples
from world.faults import status

from modelhub.catalog import downloads, lookups
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, UnsafePickleError
from modelhub.fetch.arriving.folders import Staging
from modelhub.fetch.download.place import Place
from modelhub.fetch.order import Order
from modelhub.fetch.queue import run
from modelhub.formats.hashes import hash_asset
from modelhub.formats.images import load_thumbnail
from modelhub.formats.sidecars import read_sidecars
from modelhub.scan.run import scan

LORA = samples.lora(seed=21)


def jpeg(side: int = 900, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side // 2), colour).save(out, "JPEG", comment=b"hidden words")
    return out.getvalue()


def add_lora(getter: Getter, data: bytes = LORA, name: str = "a.safetensors", **words) -> None:
    said = {"type": "LORA", "baseModel": "SD 1.5", "trainedWords": ["a style", "ink"], "tags": ["style", "cute"]}
    getter.world.add_version(1, 2, [{"data": data, "name": name}], **{**said, "title": "Ink", "name": "v2", **words})


# -- pickles -----------------------------------------------------------------------------------------------------------


def test_a_pickle_that_would_run_code_is_not_filed(getter: Getter, tmp_path: Path):
    data = samples.hostile(tmp_path / "pwned")
    add_lora(getter, data, "evil.pt", type="TextualInversion")
    (outcome,) = getter.run(getter.queue("civitai:1@2"))
    assert outcome.status == "failed"
    error = outcome.error
    assert isinstance(error, UnsafePickleError)
    assert error.exit_code == 3
    assert "mkdir" in error.message
    kept = getter.models / "embeddings" / "evil.pt.unsafe"
    assert str(kept) in error.message
    assert kept.name in error.hint
    assert kept.read_bytes() == data
    assert getter.files() == ["embeddings/evil.pt.unsafe"]
    scan(getter.catalog, [getter.models])
    assert getter.catalog.find() == [], "no scan lists it"
    assert downloads.get(getter.catalog, outcome.id).code == "unsafe-pickle"
    assert not (tmp_path / "pwned").exists()


def test_it_is_kept_once_and_another_does_not_replace_it(getter: Getter, tmp_path: Path):
    add_lora(getter, samples.hostile(tmp_path / "pwned"), "evil.pt", type="TextualInversion")
    for _ in range(2):
        ids = getter.queue("civitai:1@2")
        getter.run(ids)
    assert getter.files() == ["embeddings/evil.pt.unsafe"]
    downloads.remove(getter.catalog, ids)
    getter.world.add_version(1, 3, [{"data": samples.hostile(tmp_path / "other"), "name": "evil.pt"}])
    getter.run(getter.queue("civitai:1@3"))
    assert getter.files() == ["embeddings/evil.pt (2).unsafe", "embeddings/evil.pt.unsafe"]


def test_a_dangerous_pickle_is_filed_for_who_insists(getter: Getter, tmp_path: Path):
    add_lora(getter, samples.hostile(tmp_path / "pwned"), "evil.pt", type="TextualInversion")
    outcome = getter.one("civitai:1@2", keep_unsafe=True)
    assert outcome.path == getter.models / "embeddings" / "evil.pt"
    assert any("would run code" in note for note in outcome.notes)
    asset = getter.catalog.by_path(outcome.path)
    assert asset is not None
    assert asset.problem_code == "unsafe-pickle", "and is marked"
    assert not (tmp_path / "pwned").exists()


def test_a_harmless_pickle_is_filed_and_called_one(getter: Getter):
    add_lora(getter, samples.embedding(), "word.pt", type="TextualInversion")
    outcome = getter.one("civitai:1@2")
    assert outcome.path == getter.models / "embeddings" / "word.pt"
    assert any("pickle" in note and "convert" in note for note in outcome.notes)
    asset = getter.catalog.by_path(outcome.path)
    assert asset is not None
    assert (asset.kind, asset.format) == ("embedding", "pickle")


def test_a_pickle_under_a_safe_name_gets_its_true_suffix(getter: Getter):
    add_lora(getter, samples.embedding(), "word.safetensors", type="TextualInversion")
    outcome = getter.one("civitai:1@2")
    assert outcome.path == getter.models / "embeddings" / "word.pt"
    assert any("word.safetensors holds pickle" in note for note in outcome.notes)
    assert getter.files() == ["embeddings/word.pt"]


def test_a_hostile_pickle_under_a_safe_name_is_not_filed_either(getter: Getter, tmp_path: Path):
    add_lora(getter, samples.hostile(tmp_path / "pwned"), "word.safetensors")
    (outcome,) = getter.run(getter.queue("civitai:1@2"))
    assert isinstance(outcome.error, UnsafePickleError)
    assert getter.files() == ["loras/word.safetensors.unsafe"]


def test_safetensors_under_a_pickles_name_get_their_own(getter: Getter):
    add_lora(getter, name="a.ckpt")
    assert getter.one("civitai:1@2").path == getter.models / "loras" / "a.safetensors"


def test_a_zip_archive_of_other_things_keeps_its_name(getter: Getter):
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("wildcards.txt", "red\nblue\n")
    add_lora(getter, out.getvalue(), "cards.zip", type="Wildcards")
    outcome = getter.one("civitai:1@2")
    assert outcome.path is not None
    assert outcome.path.name == "cards.zip"
    assert outcome.notes == ()
    assert getter.catalog.find() == [], "it is no model"


def test_a_broken_model_is_filed_and_said_to_be_broken(getter: Getter):
    data = LORA[:5000]
    add_lora(getter, data)
    outcome = getter.one("civitai:1@2")
    assert outcome.path is not None
    assert outcome.path.read_bytes() == data
    assert any("cannot be read" in note for note in outcome.notes)


# -- where it goes -----------------------------------------------------------------------------------------------------


def test_the_bytes_decide_the_folder(getter: Getter):
    add_lora(getter, samples.model("vae-sd"), "thing.safetensors", type="Checkpoint")
    outcome = getter.one("civitai:1@2")
    assert outcome.path == getter.models / "vae" / "thing.safetensors"
    assert any("Its page says checkpoint, and its bytes say vae" in note for note in outcome.notes)
    assert getter.files() == ["vae/thing.safetensors"]


def test_a_folder_that_the_user_named_is_kept_whatever_the_bytes_are(getter: Getter, tmp_path: Path):
    add_lora(getter, samples.model("vae-sd"), "thing.safetensors", type="Checkpoint")
    outcome = getter.one("civitai:1@2", to=tmp_path / "new")
    assert outcome.path == tmp_path / "new" / "thing.safetensors"
    assert any("its bytes say vae" in note for note in outcome.notes)


def test_a_file_that_has_come_to_the_name_meanwhile_is_not_touched(getter: Getter):
    add_lora(getter)
    ids = getter.queue("civitai:1@2")
    mine = getter.models / "loras" / "a.safetensors"
    mine.write_bytes(b"mine")
    (outcome,) = getter.run(ids)
    assert mine.read_bytes() == b"mine"
    assert outcome.path == mine.with_name("a (2).safetensors")
    assert outcome.sha256 == sha256(LORA)
    assert any("not replaced" in note for note in outcome.notes)


def test_with_force_the_old_file_is_replaced(getter: Getter):
    add_lora(getter)
    mine = getter.models / "loras" / "a.safetensors"
    mine.write_bytes(b"mine")
    assert getter.one("civitai:1@2", replace=True).path == mine
    assert mine.read_bytes() == LORA
    assert getter.files() == ["loras/a.safetensors"]


def test_force_is_for_the_planned_name_only(getter: Getter):
    """Where the bytes lead to another folder, nobody has agreed to replace what is there."""
    add_lora(getter, samples.model("vae-sd"), "thing.safetensors", type="Checkpoint")
    mine = getter.models / "vae" / "thing.safetensors"
    mine.write_bytes(b"mine")
    outcome = getter.one("civitai:1@2", replace=True)
    assert mine.read_bytes() == b"mine"
    assert outcome.path == mine.with_name("thing (2).safetensors")


def test_a_folder_on_another_disk_is_named_and_the_file_stays(getter: Getter, tmp_path: Path):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    import tempfile

    with tempfile.TemporaryDirectory(dir=elsewhere) as other:
        (getter.models / "vae").rmdir()
        (getter.models / "vae").symlink_to(other)
        add_lora(getter, samples.model("vae-sd"), "thing.safetensors", type="Checkpoint")
        outcome = getter.one("civitai:1@2")
        assert outcome.path == getter.models / "checkpoints" / "thing.safetensors"
        assert any("another disk" in note for note in outcome.notes)
        assert list(Path(other).iterdir()) == []


# -- what is known of it -----------------------------------------------------------------------------------------------


def test_what_the_provider_says_is_remembered_by_the_content(getter: Getter):
    add_lora(getter)
    getter.one("civitai:1@2")
    known = lookups.answers(getter.catalog, [sha256(LORA)], "civitai")[sha256(LORA)]
    assert known.found
    assert (known.model, known.version) == ("1", "2")
    assert (known.facts["name"], known.facts["version"], known.facts["base_model"]) == ("Ink", "v2", "SD 1.5")
    assert known.facts["trigger_words"] == ["a style", "ink"]
    (asset,) = getter.catalog.find("cute")
    assert asset.trigger_words == ["a style", "ink"]


def test_a_picture_is_kept_small_still_and_without_its_words(getter: Getter, home: Path):
    url = getter.world.add_file("original=true/p.jpeg", jpeg(1024)).replace("%3D", "=")
    getter.world.add_file("width=512/p.jpeg", jpeg(900))
    add_lora(getter, images=[{"url": url, "type": "image", "nsfwLevel": 1}])
    assert getter.one("civitai:1@2").notes == ()
    kept = home / "cache" / "previews" / f"{sha256(LORA)}.jpg"
    assert load_thumbnail(kept, 4096).shape == (256, 512, 3)
    assert b"hidden words" not in kept.read_bytes()
    assert [one.path for one in getter.world.asked_of("storage", path="p.jpeg")] == ["/width=512/p.jpeg"]
    asset = getter.catalog.find()[0]
    assert asset.preview == kept


@pytest.mark.parametrize(("previews", "asked"), [("safe", "/pg.jpeg"), ("all", "/x.jpeg"), ("none", None)])
def test_only_pictures_that_are_wanted_are_asked_for(getter: Getter, previews: str, asked: str | None):
    images = [
        {"url": getter.world.add_file(f"{name}.jpeg", jpeg()), "type": "image", "nsfwLevel": level}
        for name, level in (("x", 8), ("pg", 2), ("pg2", 1))
    ]
    film = {"url": getter.world.add_file("film.mp4", b"film"), "type": "video", "nsfwLevel": 1}
    add_lora(getter, images=[film, *images])
    getter.one("civitai:1@2", previews=previews)
    found = [one.path for one in getter.world.asked_of("storage") if "bucket" not in one.path]
    assert found == ([asked] if asked else [])


@pytest.mark.parametrize("what", ["no picture", "a bomb", "gone", "huge"])
def test_a_bad_picture_is_no_reason_to_lose_the_model(getter: Getter, home: Path, what: str):
    url = getter.world.add_file("p.jpeg", {"no picture": b"<html>", "a bomb": _bomb()}.get(what, jpeg()))
    if what == "gone":
        getter.world.fault("GET storage /p.jpeg", status(404), times=None)
    if what == "huge":
        getter.world.add_file("p.jpeg", bytes(21_000_000))
    add_lora(getter, images=[{"url": url, "type": "image", "nsfwLevel": 1}])
    outcome = getter.one("civitai:1@2")
    assert outcome.sha256 == sha256(LORA)
    assert any("picture" in note for note in outcome.notes)
    assert list((home / "cache" / "previews").iterdir()) == []


def _bomb() -> bytes:
    """A PNG file that claims a billion pixels."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_sidecars_are_written_where_wanted(getter: Getter):
    url = getter.world.add_file("p.jpeg", jpeg())
    add_lora(getter, images=[{"url": url, "type": "image", "nsfwLevel": 1}], model_description="<p>It draws.</p>")
    outcome = getter.one("civitai:1@2", sidecars=("civitai-info", "a1111"))
    assert outcome.notes == ()
    names = ["loras/a.civitai.info", "loras/a.json", "loras/a.preview.jpg", "loras/a.safetensors"]
    assert getter.files() == names
    info = json.loads((getter.models / "loras" / "a.civitai.info").read_text())
    assert (info["id"], info["modelId"], info["trainedWords"]) == (2, 1, ["a style", "ink"])
    assert info["model"]["tags"] == ["style", "cute"]
    assert info["model"]["description"] == "<p>It draws.</p>"
    assert info["files"][0]["hashes"]["SHA256"] == sha256(LORA).upper()
    assert json.loads((getter.models / "loras" / "a.json").read_text())["activation text"] == "a style, ink"
    assert getter.catalog.find()[0].sidecar["preview"] == "a.preview.jpg", "the index has read them"


def test_the_picture_beside_a_folder_has_all_of_its_name(getter: Getter):
    card = {"widget": [{"text": "a", "output": {"url": "shown.jpg"}}]}
    getter.world.add_repo("mara/stable-3.5-medium", {**samples.diffusers(), "shown.jpg": jpeg()}, cardData=card)
    outcome = getter.one("mara/stable-3.5-medium", sidecars=("civitai-info",))
    folder = outcome.path
    assert folder is not None and folder.name == "stable-3.5-medium"
    beside = {path.name for path in folder.parent.iterdir()}
    assert beside == {"stable-3.5-medium", "stable-3.5-medium.civitai.info", "stable-3.5-medium.preview.jpg"}
    assert read_sidecars(folder).preview == folder.with_name("stable-3.5-medium.preview.jpg")


def test_a_sidecar_that_is_there_is_never_replaced(getter: Getter):
    add_lora(getter)
    mine = getter.models / "loras" / "a.json"
    mine.write_text('{"notes": "mine"}')
    outcome = getter.one("civitai:1@2", sidecars=("a1111",))
    assert mine.read_text() == '{"notes": "mine"}'
    assert any("a.json exists already" in note for note in outcome.notes)


def test_an_index_that_fails_does_not_hide_that_the_file_is_there(getter: Getter):
    add_lora(getter)
    ids = getter.queue("civitai:1@2")

    def fail(catalog: Catalog, path: Path, hashes: object) -> int:
        raise FileError("The index is full.")

    (outcome,) = run(getter.catalog.folder, getter.net, fail, ids=ids, look=0.05)
    assert outcome.status == "downloaded"
    assert outcome.notes == ("The index is full.",)
    assert downloads.get(getter.catalog, ids[0]).state == "done"


# -- folders -----------------------------------------------------------------------------------------------------------


def add_folder(getter: Getter, **more: bytes) -> dict[str, bytes]:
    files = {**samples.diffusers(), **more}
    getter.world.add_repo("someone/tiny-model", files)
    return files


def test_a_folder_comes_whole(getter: Getter):
    files = add_folder(getter)
    outcome = getter.one("someone/tiny-model")
    goal = getter.models / "diffusers" / "tiny-model"
    assert outcome.path == goal
    got = {str(path.relative_to(goal)): path.read_bytes() for path in goal.rglob("*") if path.is_file()}
    assert got
    assert all(files[name] == data for name, data in got.items())
    assert {"model_index.json", "unet/config.json", "tokenizer/vocab.json"} <= set(got)
    assert outcome.size == sum(map(len, got.values()))
    assert [one.name for one in goal.parent.iterdir()] == ["tiny-model"], "nothing else is left"
    asset = getter.catalog.by_path(goal)
    assert asset is not None
    assert (asset.format, asset.kind) == ("diffusers", "checkpoint")
    assert asset.sha256 == outcome.sha256 == hash_asset(goal, "fast").sha256


def test_a_part_of_a_pipeline_is_known_by_the_file_in_it(getter: Getter):
    files = {**samples.diffusers(), "vae/diffusion_pytorch_model.fp16.safetensors": samples.model("vae-sd")}
    getter.world.add_repo("mara/meadow", files)
    outcome = getter.one("mara/meadow:vae")
    inside = getter.models / "vae" / "meadow-vae" / "diffusion_pytorch_model.fp16.safetensors"
    asset = getter.catalog.in_place(outcome.path or Path())
    assert asset is not None
    assert (asset.path, asset.kind, asset.sha256) == (inside, "vae", sha256(inside.read_bytes()))
    assert outcome.sha256 == asset.sha256
    assert asset.provided["name"] == "meadow"
    (planned,) = getter.plan("mara/meadow:vae").items
    assert (planned.status, planned.asset) == ("owned", asset.id)


def test_a_folder_that_was_stopped_goes_on_with_what_is_missing(getter: Getter):
    add_folder(getter)
    ids = getter.queue("someone/tiny-model")
    getter.world.fault("GET hub /someone/tiny-model/resolve/*/vae/diffusion*", status(500), times=None)
    (outcome,) = getter.run(ids)
    assert outcome.status == "failed"
    assert not (getter.models / "diffusers" / "tiny-model").exists(), "nothing half-written has the name"
    assert all(name.startswith("diffusers/.") for name in getter.files())
    scan(getter.catalog, [getter.models])
    assert getter.catalog.find() == []
    (planned,) = getter.plan("someone/tiny-model").items
    assert planned.status == "resume"
    getter.world.clear_faults()
    before = len(getter.world.asked)
    downloads.retry(getter.catalog)
    (outcome,) = getter.run(ids)
    assert outcome.status == "downloaded"
    again = [one.path for one in getter.world.asked[before:] if one.site == "hub" and "/resolve/" in one.path]
    assert not any("unet/diffusion" in path for path in again), "what came is not fetched again"
    assert [one.name for one in (getter.models / "diffusers").iterdir()] == ["tiny-model"]


def test_a_folder_that_is_there_is_owned(getter: Getter):
    add_folder(getter)
    getter.one("someone/tiny-model")
    (planned,) = getter.plan("someone/tiny-model").items
    assert planned.status == "owned"
    assert planned.asset is not None


def test_a_folder_with_a_hostile_pickle_is_not_filed(getter: Getter, tmp_path: Path):
    files = {name: data for name, data in samples.diffusers().items() if not name.startswith("unet/diffusion")}
    files["unet/diffusion_pytorch_model.bin"] = samples.hostile(tmp_path / "pwned")
    getter.world.add_repo("someone/tiny-model", files)
    (outcome,) = getter.run(getter.queue("someone/tiny-model"))
    assert isinstance(outcome.error, UnsafePickleError)
    visible = [name for name in getter.files() if "/." not in name]
    assert visible == ["diffusers/tiny-model.diffusion_pytorch_model.bin.unsafe"]
    assert not (tmp_path / "pwned").exists()


def test_a_folder_that_is_replaced_keeps_the_users_own_files(getter: Getter):
    files = add_folder(getter)
    goal = getter.models / "diffusers" / "tiny-model"
    (goal / "unet").mkdir(parents=True)
    (goal / "unet" / "config.json").write_text("old")
    (goal / "notes.txt").write_text("mine")
    (goal / "unet" / "mine.txt").write_text("mine")
    (goal / "link").symlink_to("notes.txt")
    (planned,) = getter.plan("someone/tiny-model").items
    assert planned.status == "conflict"
    assert getter.one("someone/tiny-model", replace=True).path == goal
    assert (goal / "unet" / "config.json").read_bytes() == files["unet/config.json"]
    assert (goal / "notes.txt").read_text() == (goal / "unet" / "mine.txt").read_text() == "mine"
    assert (goal / "link").is_symlink()
    assert [one.name for one in goal.parent.iterdir()] == ["tiny-model"]


@pytest.mark.parametrize("moment", ["no folder yet", "both folders", "another try"])
def test_a_folder_whose_replacing_was_cut_short_is_whole_again(getter: Getter, moment: str):
    """What a process leaves that dies while it puts the new folder in place of the old."""
    files = add_folder(getter)
    ids = getter.queue("someone/tiny-model", replace=True)
    order = Order.from_dict(downloads.get(getter.catalog, ids[0]).plan)
    old = Staging(order).folder.with_suffix(".replaced")
    old.mkdir(parents=True)
    (old / "mine.txt").write_text("mine")
    (old / "model_index.json").write_text("old")
    if moment != "no folder yet":
        order.goal.mkdir()
        (order.goal / "model_index.json").write_text("new")
    if moment == "another try":
        (order.goal / "mine too.txt").write_text("mine")
    (outcome,) = getter.run(ids)
    assert outcome.path == order.goal
    assert (order.goal / "mine.txt").read_text() == "mine"
    assert (order.goal / "mine too.txt").exists() == (moment == "another try")
    assert (order.goal / "model_index.json").read_bytes() == files["model_index.json"]
    assert [one.name for one in order.goal.parent.iterdir()] == ["tiny-model"]


def test_what_a_dead_process_left_of_a_file_comes_into_no_folder(getter: Getter):
    """It died when a file of the folder had its name, and the state of its part was still there."""
    add_folder(getter)
    ids = getter.queue("someone/tiny-model")
    order = Order.from_dict(downloads.get(getter.catalog, ids[0]).plan)
    file = next(one for one in order.files if one.path == "unet/config.json")
    goal = Staging(order).folder / file.path
    goal.parent.mkdir(parents=True)
    goal.write_bytes(samples.diffusers()[file.path])
    place = Place.of(file, goal)
    place.state.write_text("{}")
    os.link(goal, place.part)
    (outcome,) = getter.run(ids)
    assert outcome.path == order.goal
    assert [name for name in getter.files() if "/." in name] == []


def test_a_folder_that_came_meanwhile_is_not_touched(getter: Getter):
    add_folder(getter)
    ids = getter.queue("someone/tiny-model")
    goal = getter.models / "diffusers" / "tiny-model"
    goal.mkdir(parents=True)
    (goal / "mine.txt").write_text("mine")
    (outcome,) = getter.run(ids)
    assert outcome.path == goal.with_name("tiny-model (2)")
    assert [one.name for one in goal.iterdir()] == ["mine.txt"]


# -- ends at a bad moment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False])
def test_a_death_right_after_the_file_is_in_place_costs_nothing(getter: Getter, told: bool):
    """Whether the provider tells a hash or not: there is one file, and it is known in the end."""
    add_lora(getter)
    source = "civitai:1@2" if told else getter.world.add_file("a.safetensors", LORA)
    ids = getter.queue(source)

    def die(catalog: Catalog, path: Path, hashes: object) -> int:
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError, match="power"):
        run(getter.catalog.folder, getter.net, die, ids=ids, look=0.05)
    assert getter.files() == ["loras/a.safetensors"]
    before = len(getter.world.asked)
    (outcome,) = getter.run(ids)
    assert outcome.status == ("owned" if told else "downloaded")
    assert outcome.path == getter.models / "loras" / "a.safetensors"
    assert getter.files() == ["loras/a.safetensors"]
    assert [asset.sha256 for asset in getter.catalog.find()] == [sha256(LORA)]
    assert [one for one in getter.world.asked[before:] if one.site == "storage"] == [] or not told


def test_a_file_that_was_there_under_another_name_is_named(getter: Getter):
    add_lora(getter)
    first = getter.one("civitai:1@2")
    outcome = getter.one(getter.world.add_file("copy.safetensors", LORA))
    assert outcome.status == "downloaded", "its server tells no hash"
    assert f"The same file is at {first.path}, too." in outcome.notes
