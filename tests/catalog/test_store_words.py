"""What the user says of an asset: overrides that win, words that follow a content, links, the trash."""

import sqlite3
from pathlib import Path

import pytest

from modelhub.catalog.asset import FileStat
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError, UsageError
from modelhub.formats.hashes import Hashes

STAT = FileStat(1, 2, 3, 4)


@pytest.fixture
def catalog(tmp_path: Path):
    with Catalog.open(tmp_path) as opened:
        yield opened


def add(catalog: Catalog, name: str, kind: str = "unknown", stat: FileStat = STAT) -> int:
    identity = Identity(kind=kind, architecture="sdxl" if kind == "lora" else None)
    return catalog.record(Path("/m") / name, stat, identity, "1")


def test_an_override_wins_survives_another_identification_and_can_be_taken_back(catalog: Catalog) -> None:
    number = add(catalog, "a.pt")
    catalog.override([number], {"kind": "Embedding", "architecture": "sd1"})
    asset = catalog.get(number)
    assert (asset.kind, asset.architecture) == ("embedding", "sd1")
    assert asset.found == {"kind": "unknown", "architecture": None, "variant": None}
    assert catalog.ids("kind:embedding override:yes") == [number] and catalog.ids("kind:unknown") == []
    assert asset.as_dict()["override"] == {"kind": "embedding", "architecture": "sd1"}
    add(catalog, "a.pt", "lora")
    asset = catalog.get(number)
    assert (asset.kind, asset.architecture, asset.found["kind"]) == ("embedding", "sd1", "lora")
    catalog.override([number], {"kind": ""})
    assert (catalog.get(number).kind, catalog.get(number).said) == ("lora", {"architecture": "sd1"})


@pytest.mark.parametrize(
    "said", [{"kind": "modle"}, {"architecture": "a b"}, {"size": "3"}, {"variant": "x" * 60}, {"architecture": "<b>"}]
)
def test_an_override_that_means_nothing_is_refused(catalog: Catalog, said: dict[str, str]) -> None:
    number = add(catalog, "a.pt")
    with pytest.raises(UsageError):
        catalog.override([number], said)
    assert catalog.get(number).said == {}
    with pytest.raises(NotFoundError):
        catalog.override([number + 1], {"kind": "lora"})


def test_a_link_is_another_path_of_one_asset(catalog: Catalog) -> None:
    number = add(catalog, "a.safetensors")
    catalog.set_links({"/other/b.safetensors": number})
    assert catalog.by_path(Path("/other/b.safetensors")).id == number
    assert catalog.get(number).links == ["/other/b.safetensors"]
    assert (catalog.count(), catalog.count("linked:yes"), catalog.links()) == (1, 1, {"/other/b.safetensors": number})
    catalog.set_links({}, gone=["/other/b.safetensors"])
    assert catalog.by_path(Path("/other/b.safetensors")) is None


def test_two_rows_of_one_content_become_one_with_all_words(catalog: Catalog) -> None:
    one, two = add(catalog, "a.safetensors"), add(catalog, "b.safetensors")
    for number, tag, rating, note in ((one, "x", 2, "left"), (two, "y", 5, "right")):
        catalog.tag([number], add=[tag])
        catalog.rate(number, rating)
        catalog.note(number, note)
    catalog.absorb(one, two)
    asset = catalog.get(one)
    assert (asset.tags, asset.rating, asset.notes, catalog.count()) == (["x", "y"], 5, "left\nright", 1)


def test_a_content_that_is_found_again_keeps_id_words_and_hashes(catalog: Catalog) -> None:
    old = add(catalog, "a.safetensors", "lora")
    catalog.set_hashes(old, Hashes("ab" * 32))
    catalog.tag([old], add=["mine"])
    catalog.set_missing([old])
    new = catalog.record(Path("/disk2/c.safetensors"), FileStat(9, 9, 3, 9), Identity(kind="lora"), "2", title="T")
    catalog.follow(old, new)
    (asset,) = catalog.find()
    assert (asset.id, asset.path, asset.tags, asset.sha256) == (old, Path("/disk2/c.safetensors"), ["mine"], "ab" * 32)
    assert (asset.stat, asset.missing, asset.title) == (FileStat(9, 9, 3, 9), False, "T")


def test_what_lies_in_the_trash_is_found_there_and_nowhere_else(catalog: Catalog) -> None:
    number = add(catalog, "a.safetensors")
    catalog.tag([number], add=["mine"])
    catalog.set_trashed(number, 7, Path("/trash/7/a.safetensors"))
    assert (catalog.ids(), catalog.count(), catalog.tags(), catalog.stats()) == ([], 0, {}, {})
    assert catalog.named("a") == [] and catalog.by_path(Path("/trash/7/a.safetensors")) is None
    assert [(a.id, a.path) for a in catalog.in_trash()] == [(number, Path("/trash/7/a.safetensors"))]
    catalog.set_trashed(number, None, Path("/m/a.safetensors"))
    assert catalog.ids("tag:mine") == [number]


def test_changed_bytes_are_no_longer_verified_and_their_samples_go(catalog: Catalog) -> None:
    number = add(catalog, "a.safetensors")
    catalog.set_verified(number, 5.0)
    catalog.rows("INSERT INTO samples VALUES (?, '1', x'00')", [number])
    add(catalog, "a.safetensors")
    assert catalog.get(number).verified == 5.0
    add(catalog, "a.safetensors", stat=FileStat(1, 2, 30, 5))
    assert catalog.get(number).verified is None
    assert catalog.rows("SELECT count(*) FROM samples").fetchone()[0] == 0


def test_a_catalog_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its rows keep their words, and the new columns and the index of words are filled."""
    with sqlite3.connect(tmp_path / "catalog.db") as old:
        old.executescript(data_path("migrations", "001_catalog.sql").read_text())
        old.execute(
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)"
        )
        old.execute("INSERT INTO _sqlite_migrations VALUES (1, 'modelhub', '001_catalog', 'then')")
        old.execute(
            "INSERT INTO assets (id, path, name, device, inode, size, modified, kind, format, notes, added) "
            "VALUES (3, '/m/a.pt', 'a.pt', 1, 2, 3, 4, 'lora', 'pickle', 'a fine one', 0)"
        )
        old.execute("INSERT INTO tags VALUES (3, 'anime')")
    with Catalog.open(tmp_path) as catalog:
        asset = catalog.get(3)
        assert (asset.tags, asset.found["kind"], asset.said, asset.sidecar) == (["anime"], "lora", {}, {})
        assert catalog.ids('"fine one"') == catalog.ids("anime") == [3]
        catalog.tag([3], remove=["anime"])
        assert catalog.ids("anime") == []


def test_an_id_is_given_once_for_the_journal_names_assets_by_it(catalog: Catalog) -> None:
    one, two = add(catalog, "a.pt"), add(catalog, "b.pt")
    whole = catalog.whole(two)
    catalog.remove([two])
    three = add(catalog, "c.pt")
    assert three > two > one
    assert catalog.put_back(whole) == two
    catalog.remove([two, three])
    assert add(catalog, "d.pt") > three
