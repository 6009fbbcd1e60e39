"""The store: rows, tags, hashes, references, and several processes at once."""

import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Evidence, Identity
from modelhub.catalog.refs import locate, resolve
from modelhub.catalog.store import Catalog
from modelhub.errors import AmbiguousError, CorruptFileError, FileError, NoSpaceError, NotFoundError, UsageError
from modelhub.formats.hashes import Hashes

LORA = Identity(
    kind="lora", architecture="sdxl", dtypes={"F16": 100, "F32": 1}, evidence=(Evidence("a rule", "a.b", "[1]"),)
)


def put(catalog: Catalog, path: str, size: int = 10, identity: Identity = LORA, **columns: object) -> int:
    return catalog.record(Path(path), FileStat(1, hash(path) % 2**31, size, 5), identity, "1", **columns)


@pytest.fixture
def catalog(tmp_path: Path):
    with Catalog.open(tmp_path / "home") as opened:
        yield opened


def test_a_recorded_asset_comes_back_whole(catalog: Catalog) -> None:
    number = put(catalog, "/models/a\nb \x1b[31m'quoted'\".safetensors", title="A title")
    asset = catalog.get(number)
    assert asset.path == Path("/models/a\nb \x1b[31m'quoted'\".safetensors")
    assert (asset.kind, asset.architecture, asset.dtype, asset.title) == ("lora", "sdxl", "fp16", "A title")
    assert asset.evidence == [{"rule": "a rule", "tensor": "a.b", "found": "[1]"}]
    assert asset.as_dict()["rating"] is None and asset.as_dict()["sha256"] is None


def test_wal_is_on_and_survives_reopening(catalog: Catalog) -> None:
    put(catalog, "/m/a.safetensors")
    raw = sqlite3.connect(catalog.folder / "catalog.db")
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with Catalog.open(catalog.folder) as again:
        assert again.count() == 1


def test_recording_again_keeps_what_the_user_said(catalog: Catalog) -> None:
    number = put(catalog, "/m/a.safetensors")
    catalog.tag([number], add=["anime"])
    catalog.rate(number, 4)
    catalog.note(number, "good at 0.7")
    catalog.set_hashes(number, Hashes(sha256="ab" * 32))
    assert put(catalog, "/m/a.safetensors", identity=replace(LORA, kind="vae")) == number
    asset = catalog.get(number)
    assert (asset.kind, asset.tags, asset.rating, asset.notes) == ("vae", ["anime"], 4, "good at 0.7")
    assert asset.sha256 == "ab" * 32, "the file did not change"
    put(catalog, "/m/a.safetensors", size=11)
    assert catalog.get(number).sha256 is None, "another content has another hash"
    assert catalog.get(number).tags == ["anime"]


def test_tags_ignore_case_and_refuse_nonsense(catalog: Catalog) -> None:
    one, two = put(catalog, "/m/a.safetensors"), put(catalog, "/m/b.safetensors")
    catalog.tag([one, two], add=["Anime", " style "])
    catalog.tag([one], add=["anime"], remove=["STYLE"])
    assert catalog.get(one).tags == ["Anime"]
    assert catalog.tags() == {"Anime": 2, "style": 1}
    for bad in ("", "  ", "a\nb", "x" * 101, "\x1b[0m"):
        with pytest.raises(UsageError):
            catalog.tag([one], add=[bad])
    with pytest.raises(UsageError):
        catalog.rate(one, 6)
    with pytest.raises(NotFoundError):
        catalog.rate(999, 3)


def test_refs_by_id_path_name_stem_and_hash(catalog: Catalog, tmp_path: Path) -> None:
    one, two = put(catalog, "/m/one.safetensors"), put(catalog, "/m/x/two.ckpt")
    catalog.set_hashes(two, Hashes(sha256="abcdef" + "0" * 58, crc32="12345678"))
    for ref, number in ((f"#{one}", one), ("/m/one.safetensors", one), ("one.safetensors", one), ("ONE", one), ("two", two),
                        ("abcdef", two), ("ABCDEF00", two), ("123456", two)):  # fmt: skip
        assert resolve(catalog, ref).id == number, ref
    for ref in ("#99", "three", "abcde", "", "%", "o_e", "#" + "9" * 30):
        with pytest.raises(NotFoundError):
            resolve(catalog, ref)
    stray = tmp_path / "stray.safetensors"
    stray.write_bytes(b"x")
    with pytest.raises(NotFoundError, match="not in the catalog"):
        resolve(catalog, str(stray))
    assert locate(catalog, str(stray)) == (stray, None)


def test_ambiguous_refs_name_the_candidates_unless_they_are_one_content(catalog: Catalog) -> None:
    one, two = put(catalog, "/m/a/same.safetensors"), put(catalog, "/m/b/same.safetensors")
    with pytest.raises(AmbiguousError) as caught:
        resolve(catalog, "same")
    assert "/m/a/same" in caught.value.message and f"#{two}" in caught.value.message
    for number in (one, two):
        catalog.set_hashes(number, Hashes(sha256="cd" * 32))
    assert resolve(catalog, "same").id == one
    catalog.set_hashes(two, Hashes(sha256="ef" * 32))
    catalog.set_missing([one])
    assert resolve(catalog, "same").id == two, "a file that is there wins over one that is gone"


def test_not_a_database_is_an_error_and_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"this is no database, but long enough to look like one" * 100)
    before = path.read_bytes()
    with pytest.raises(CorruptFileError, match="catalog.db"):
        Catalog.open(tmp_path)
    assert path.read_bytes() == before


def test_a_catalog_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog, catalog.atomic():
        catalog.rows("PRAGMA user_version = 999")
    with pytest.raises(FileError, match="newer modelhub"):
        Catalog.open(tmp_path)


def test_many_processes_may_create_the_catalog_at_once(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from modelhub.catalog.store import Catalog; Catalog.open(Path(sys.argv[1])).add_root(Path(sys.argv[2]))"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"/r{n}"], stderr=subprocess.PIPE)
        for n in range(6)
    ]
    for process in running:
        assert process.wait(60) == 0, process.communicate()[1].decode()
    with Catalog.open(tmp_path) as catalog:
        assert len(catalog.roots()) == 6


def test_threads_write_at_once_without_losing_rows(tmp_path: Path) -> None:
    def work(turn: int) -> None:
        with Catalog.open(tmp_path) as catalog:
            for number in range(30):
                put(catalog, f"/m/{turn}-{number}.safetensors")

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    with Catalog.open(tmp_path) as catalog:
        assert catalog.count() == 120


def test_a_batch_is_written_together_or_not_at_all(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError), catalog.atomic():
        put(catalog, "/m/a.safetensors")
        raise ZeroDivisionError
    assert catalog.count() == 0


def test_names_can_be_swapped_and_are_found_by_their_new_words(catalog: Catalog) -> None:
    one, two = put(catalog, "/m/lion.safetensors"), put(catalog, "/m/tiger.safetensors")
    catalog.tag([one], add=["first"])
    catalog.move({one: Path("/m/tiger.safetensors"), two: Path("/m/lion.safetensors")})
    assert (catalog.get(one).name, catalog.get(one).tags) == ("tiger.safetensors", ["first"])
    assert catalog.ids("tiger") == [one] and catalog.ids("lion") == [two]


def test_a_busy_catalog_is_not_called_damaged(catalog: Catalog) -> None:
    number = put(catalog, "/m/a.safetensors")
    other = sqlite3.connect(catalog.folder / "catalog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    catalog._connection.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(FileError, match="in use by another program") as caught:
        catalog.rate(number, 3)
    assert caught.value.code == "file" and "Move it away" not in caught.value.hint
    other.execute("ROLLBACK")
    catalog.rate(number, 3)
    assert catalog.get(number).rating == 3


def test_a_full_disk_is_said_and_the_catalog_goes_on(catalog: Catalog) -> None:
    number = put(catalog, "/m/a.safetensors")
    pages = catalog._connection.execute("PRAGMA page_count").fetchone()[0]
    catalog._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NoSpaceError, match="does not fit"):
        catalog.note(number, "long " * 100_000)
    catalog._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    catalog.note(number, "short")
    with Catalog.open(catalog.folder) as again:
        assert again.get(number).notes == "short", "what is written after a failure is committed"


@pytest.mark.parametrize("ref", ["~nobody-of-this-name", "~nobody-of-this-name/a.safetensors", "x" * 300])
def test_a_ref_that_can_be_no_path_is_not_found(catalog: Catalog, ref: str) -> None:
    for look in (resolve, locate):
        with pytest.raises(NotFoundError):
            look(catalog, ref)


def test_what_a_commit_could_not_write_is_not_left_open(catalog: Catalog) -> None:
    number = put(catalog, "/m/a.safetensors")
    with pytest.raises(FileError), catalog.atomic():
        catalog._connection.execute("PRAGMA defer_foreign_keys = ON")
        catalog.tag([number + 1], add=["nobody's"])
    catalog.tag([number], add=["mine"])
    with Catalog.open(catalog.folder) as again:
        assert again.tags() == {"mine": 1}


def test_a_set_of_shards_is_named_by_what_stands_before_the_numbers(catalog: Catalog) -> None:
    number = put(catalog, "/m/big-00001-of-00002.safetensors")
    assert resolve(catalog, "big").id == resolve(catalog, "BIG").id == number
    assert resolve(catalog, "big-00001-of-00002").id == number
