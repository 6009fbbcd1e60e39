"""What providers say of contents: how it fills an asset, how it is found, and that it outlives scans and moves."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.catalog import lookups
from modelhub.catalog.asset import FileStat
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Identity
from modelhub.catalog.lookups import Lookup, ModelAnswer
from modelhub.catalog.store import Catalog
from modelhub.errors import BadQueryError
from modelhub.formats.hashes import Hashes
from modelhub.formats.sidecars import SidecarFacts
from modelhub.lora.checking.known import Known

LORA = Identity(kind="lora", architecture="sdxl")
ONE, TWO = "ab" * 32, "cd" * 32
FACTS = {
    "name": "Wet Ink",
    "base_model": "Pony",
    "trigger_words": ["inkwet"],
    "creator": "painter",
    "source": "https://x/1",
}
SAID = Lookup(ONE, "civitai", True, FACTS, "11", "22")


@pytest.fixture
def catalog(tmp_path: Path):
    with Catalog.open(tmp_path / "home") as opened:
        yield opened


def put(
    catalog: Catalog, name: str, sha256: str | None = ONE, identity: Identity = LORA, size: int = 9, **columns: object
) -> int:
    number = catalog.record(Path("/m") / name, FileStat(1, hash(name) % 2**31, size, 5), identity, "1", **columns)
    if sha256:
        catalog.set_hashes(number, Hashes(sha256=sha256))
    return number


def names(catalog: Catalog, query: str) -> list[str]:
    return [asset.path.stem for asset in catalog.find(query)]


def test_what_a_provider_says_fills_what_nobody_else_does(catalog: Catalog) -> None:
    number = put(catalog, "a.safetensors")
    assert catalog.get(number).provided == {}
    lookups.keep(catalog, [replace(SAID, facts={**FACTS, "preview": "/cache/p.png"}, at=123.0)])
    asset = catalog.get(number)
    assert (asset.title, asset.source, asset.trigger_words) == ("Wet Ink", "https://x/1", ["inkwet"])
    assert asset.preview == Path("/cache/p.png")
    assert asset.facts == {"lineage": "pony", "declared_base": "Pony"}
    assert (asset.provided["provider"], asset.provided["at"], asset.provided["creator"]) == (
        "civitai",
        123.0,
        "painter",
    )
    assert asset.as_dict()["provided"] == asset.provided and asset.as_dict()["never_look_up"] is False
    assert [one.id for one in Known.of_asset(asset).lineages] == ["pony"], "the LoRA check hears of it"


def test_the_file_and_its_sidecars_come_first(catalog: Catalog) -> None:
    own = replace(LORA, trigger_words=("mine",), facts={"lineage": "noobai"})
    sidecar = '{"preview": "b.png", "base_model": "Illustrious"}'
    one = put(catalog, "a.safetensors", identity=own, title="Mine", source="https://me", sidecar=sidecar)
    two = put(
        catalog,
        "b.safetensors",
        identity=replace(LORA, facts={"declared_base": "Illustrious", "lineage": "illustrious"}),
    )
    lookups.keep(catalog, [replace(SAID, facts={**FACTS, "preview": "/cache/p.png"})])
    asset, other = catalog.assets([one, two])
    assert (asset.title, asset.source, asset.trigger_words) == ("Mine", "https://me", ["mine"])
    assert asset.preview == Path("/m/b.png")
    assert asset.facts["lineage"] == "noobai" and asset.facts["declared_base"] == "Pony"
    assert other.facts == {"declared_base": "Illustrious", "lineage": "illustrious"} and not other.evidence
    assert names(catalog, "base:pony") == ["b"] and names(catalog, "base:illustrious") == ["a"]
    assert names(catalog, "lineage:pony") == []
    assert names(catalog, "trigger:mine") == ["a"] and names(catalog, "trigger:inkw") == ["b"]


def test_of_two_providers_one_tells_what_belongs_together(catalog: Catalog) -> None:
    number = put(catalog, "a.safetensors")
    hub = {"name": "hub name", "licence": "mit", "version_id": 5, "version": "main"}
    lookups.keep(catalog, [Lookup(ONE, "huggingface", True, hub, "o/r", "c0ffee"), SAID])
    said = catalog.get(number).provided
    assert (said["provider"], said["name"], said["licence"]) == ("civitai", "Wet Ink", "mit")
    assert "version" not in said and "version_id" not in said
    lookups.keep(catalog, [Lookup(ONE, "civitai", False)])
    assert catalog.get(number).provided["provider"] == "huggingface", "one that knows it counts"
    assert names(catalog, "lookup:known") == ["a"] and names(catalog, "provider:civitai") == []


def test_unknown_is_an_answer_too(catalog: Catalog) -> None:
    number = put(catalog, "a.safetensors")
    lookups.keep(catalog, [Lookup(ONE, "civitai", False, at=5.0)])
    assert catalog.get(number).provided == {"provider": "civitai", "at": 5.0, "not_found": True}
    assert names(catalog, "lookup:unknown") == ["a"] == names(catalog, "provider:none")


def test_queries(catalog: Catalog) -> None:
    put(catalog, "known.safetensors")
    put(catalog, "hashless.safetensors", None)
    put(catalog, "other.safetensors", TWO)
    wished = put(catalog, "never.safetensors", "ee" * 32)
    put(catalog, "beside.safetensors", "dd" * 32, sidecar='{"never_look_up": true}')
    catalog.never_look_up([wished])
    lookups.keep(catalog, [SAID, Lookup(TWO, "civitai", False)])
    others = ["beside", "hashless", "never"]
    for query, found in (
        ("base:pony", ["known"]), ("base:p*", ["known"]), ("base:none", [*others, "other"]), ("lineage:pony", ["known"]),
        ("-lineage:pony", [*others, "other"]), ("creator:painter", ["known"]), ("trigger:INK", ["known"]),
        ("-trigger:ink", [*others, "other"]), ("provider:civitai", ["known"]), ("-provider:civitai", [*others, "other"]),
        ("lookup:known", ["known"]), ("lookup:unknown", ["other"]), ("lookup:none", others),
        ("-lookup:none", ["known", "other"]), ("lookup:never", ["beside", "never"]),
        ("-lookup:never", ["hashless", "known", "other"]), ("-lookup:known", [*others, "other"]),
    ):  # fmt: skip
        assert sorted(names(catalog, query)) == sorted(found), query
    with pytest.raises(BadQueryError, match="never, known"):
        catalog.find("lookup:perhaps")


def test_the_users_wish_wins_over_a_sidecar(catalog: Catalog) -> None:
    number = put(catalog, "a.safetensors", sidecar='{"never_look_up": true}')
    assert catalog.get(number).never_look_up
    catalog.never_look_up([number], False)
    assert not catalog.get(number).never_look_up and names(catalog, "lookup:never") == []
    put(catalog, "a.safetensors", sidecar='{"never_look_up": true}')
    assert not catalog.get(number).never_look_up, "a scan does not forget the user's word"


@pytest.mark.parametrize(
    ("one", "two", "never"), [(0, 1, True), (1, -1, True), (-1, 1, True), (-1, 0, False), (0, 0, False)]
)
def test_a_wish_not_to_look_up_survives_that_files_become_one(
    catalog: Catalog, one: int, two: int, never: bool
) -> None:
    first, second = put(catalog, "a.safetensors"), put(catalog, "b.safetensors")
    with catalog.atomic():
        catalog.each("UPDATE assets SET never_look_up = ? WHERE id = ?", [(one, first), (two, second)])
    catalog.absorb(first, second)
    assert catalog.get(first).never_look_up is never


def test_a_wish_not_to_look_up_follows_the_content(catalog: Catalog) -> None:
    old, new = put(catalog, "a.safetensors"), put(catalog, "b.safetensors")
    catalog.never_look_up([old])
    catalog.follow(old, new)
    assert catalog.get(old).never_look_up and catalog.get(old).name == "b.safetensors"


# -- words -------------------------------------------------------------------------------------------------------------


def test_search_finds_words_of_answers_that_come_change_and_go(catalog: Catalog) -> None:
    put(catalog, "a.safetensors", sidecar_words="beside")
    put(catalog, "copy.safetensors")
    lookups.keep(catalog, [SAID])
    assert names(catalog, "inkwet") == ["a", "copy"] == names(catalog, "painter")
    assert names(catalog, "beside") == ["a"], "what was found before still is"
    lookups.keep(catalog, [Lookup(ONE, "huggingface", True, {"name": "Hubword"})])
    assert names(catalog, "hubword") == ["a", "copy"] == names(catalog, "inkwet")
    lookups.keep(catalog, [replace(SAID, facts={"name": "Another"})])
    assert names(catalog, "inkwet") == [] and names(catalog, "another") == ["a", "copy"] == names(catalog, "hubword")
    lookups.forget(catalog, [ONE])
    assert names(catalog, "another") == [] == names(catalog, "hubword") and names(catalog, "beside") == ["a"]


def test_search_finds_words_of_answers_whatever_comes_first(catalog: Catalog) -> None:
    lookups.keep(catalog, [SAID])
    number = put(catalog, "late.safetensors", None)
    assert names(catalog, "inkwet") == []
    catalog.set_hashes(number, Hashes(sha256=ONE))
    assert names(catalog, "inkwet") == ["late"], "hashed after the answer came"
    put(catalog, "late.safetensors", None, sidecar_words="beside")
    assert names(catalog, "inkwet") == ["late"] == names(catalog, "beside"), "scanned again, unchanged"
    put(catalog, "late.safetensors", None, size=10)
    assert names(catalog, "inkwet") == [], "the file is another one now"
    whole = catalog.whole(put(catalog, "gone.safetensors"))
    catalog.remove([whole["row"]["id"]])
    assert names(catalog, "inkwet") == []
    catalog.put_back(whole)
    assert names(catalog, "inkwet") == ["gone"], "undone"


def test_the_users_words_and_those_of_providers_live_side_by_side(catalog: Catalog) -> None:
    number = put(catalog, "a.safetensors")
    lookups.keep(catalog, [SAID])
    catalog.note(number, "noted")
    catalog.tag([number], ["tagged"])
    catalog.move({number: Path("/m/moved.safetensors")})
    for word in ("noted", "tagged", "inkwet", "moved"):
        assert names(catalog, word) == ["moved"], word


# -- rows --------------------------------------------------------------------------------------------------------------


def test_answers_come_back_as_they_were_kept(catalog: Catalog) -> None:
    many = [
        Lookup(f"{n:064x}", "civitai", n % 2 == 0, {"name": f"n{n}"}, str(n % 7), str(n), 100.0 + n)
        for n in range(1200)
    ]
    lookups.keep(catalog, many)
    found = lookups.answers(catalog, [one.sha256 for one in many] + ["ff" * 32], "civitai")
    assert found == {one.sha256: one for one in many}
    assert lookups.answers(catalog, [many[0].sha256], "huggingface") == {}
    by_model = lookups.of_models(catalog, ["3", "nobody"], "civitai")
    assert by_model.keys() == {"3"} and {int(one.version or 0) % 7 for one in by_model["3"]} == {3}


def test_a_later_answer_keeps_the_picture_and_the_names(catalog: Catalog) -> None:
    lookups.keep(catalog, [replace(SAID, facts={**FACTS, "preview": "/p.png"})])
    lookups.keep(catalog, [replace(SAID, facts={"name": "New"}, version="23")])
    found = lookups.answers(catalog, [ONE], "civitai")[ONE]
    assert found.facts == {"name": "New", "preview": "/p.png"} and found.version == "23"
    lookups.keep(catalog, [Lookup(ONE, "civitai", False)])
    found = lookups.answers(catalog, [ONE], "civitai")[ONE]
    assert (found.found, found.model) == (False, "11"), "what has vanished still has a name"


def test_models_come_back_as_they_were_kept(catalog: Catalog) -> None:
    kept = [ModelAnswer("civitai", "1", True, {"name": "Ünïcode"}, 5.0), ModelAnswer("civitai", "2", False, {}, 6.0)]
    lookups.keep_models(catalog, kept)
    lookups.keep_models(catalog, [replace(kept[0], at=7.0)])
    found = lookups.models(catalog, ["1", "2", "3"], "civitai")
    assert found == {"1": replace(kept[0], at=7.0), "2": kept[1]}


def test_facts_are_kept_plain_and_short() -> None:
    facts = SidecarFacts(
        name="a", description="x" * 9000, tags=("b",), nsfw=False, preview=Path("/p"), never_look_up=True,
        problems=("p",), origin={"name": "f"},
    )  # fmt: skip
    kept = lookups.plain_facts(facts)
    assert len(kept.pop("description")) == 4000
    assert kept == {"name": "a", "tags": ["b"], "nsfw": False, "preview": "/p"}


# -- catalogs of before ------------------------------------------------------------------------------------------------


def test_a_catalog_of_version_four_goes_on_with_all_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _version_four(tmp_path, monkeypatch)
    with Catalog.open(folder) as catalog:
        (asset,) = catalog.find("noted")
        assert (asset.tags, asset.rating, asset.sha256, asset.provided) == (["anime"], 4, ONE, {})
        assert not asset.never_look_up
        lookups.keep(catalog, [SAID])
        assert names(catalog, "inkwet") == names(catalog, "beside") == names(catalog, "base:pony") == ["old"]
        assert catalog.rows("PRAGMA user_version").fetchone()[0] == len(list(data_path("migrations").glob("*.sql")))


def _version_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a catalog that only the first four migrations made."""
    from modelhub.catalog import database

    (tmp_path / "migrations").mkdir()
    for path in sorted(data_path("migrations").glob("00[1-4]*.sql")):
        (tmp_path / "migrations" / path.name).write_bytes(path.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(database, "data_path", lambda name: tmp_path / name)
        Catalog.open(tmp_path / "old").close()
    raw = sqlite3.connect(tmp_path / "old" / "catalog.db")
    assert raw.execute("PRAGMA user_version").fetchone() == (4,)
    raw.execute(
        "INSERT INTO assets (id, path, name, device, inode, size, modified, format, added, sha256, rating, notes, sidecar_words)"
        " VALUES (7, '/m/old.safetensors', 'old.safetensors', 1, 2, 3, 4, 'safetensors', 5, ?, 4, 'noted', 'beside')",
        [ONE],
    )
    raw.execute("INSERT INTO tags VALUES (7, 'anime')")
    raw.commit()
    raw.close()
    return tmp_path / "old"
