"""Counting: one pass says the same as many searches, folders are a tree, every value finds what it says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from modelhub.catalog.counting import census, folders, total_size, untagged, values
from modelhub.catalog.fields import FIELDS
from modelhub.catalog.folder_tree import folder_tree
from modelhub.catalog.orders import can_sort, order_by
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError

_COLUMNS = (
    "id", "path", "name", "device", "inode", "size", "modified", "kind", "architecture", "variant", "format", "dtype",
    "parameters", "rating", "added", "missing", "problem", "trigger_words", "adapter", "facts", "sidecar", "notes",
    "confidence", "parents", "sha256", "trashed",
)  # fmt: skip
_DAY = 86_400


def _row(number: int) -> tuple[object, ...]:
    kind, architecture = (("lora", "sdxl"), ("checkpoint", "sd1"), ("lora", None), ("vae", "sd1"))[number % 4]
    folder = ("/models/a", "/models/a/deep", "/models/b c", "/elsewhere/x")[number % 3 if number < 20 else 3]
    name = f"file-{number:02}.safetensors"
    return (
        number, f"{folder}/{name}", name, 1, number, number * 400_000_000, 1_700_000_000 * 10**9, kind, architecture,
        "inpaint" if number == 1 else None, "pickle" if number % 5 == 0 else "safetensors",
        ("fp16", "bf16", None)[number % 3], number * 10**8, number % 6, 1_700_000_000 + number * _DAY,
        int(number == 7), "broken" if number == 9 else None, '["ohwx", "cat"]' if number % 4 == 0 else "[]",
        '{"algorithm": ["lora"]}' if kind == "lora" else None,
        {4: '{"lineage": "pony"}', 6: '{"quantisation": {"Q4_0": 3, "F16": 1}}'}.get(number, "{}"),
        '{"base_model": "SDXL 1.0", "creator": "somebody"}' if number == 8 else "{}",
        "note" if number == 3 else "", "none" if number == 2 else "header",
        '[["", 1, "parent.safetensors"]]' if number == 5 else None, f"{number:064x}" if number > 10 else None,
        1 if number == 24 else None,
    )  # fmt: skip


@pytest.fixture
def catalog(home: Path):
    Catalog.open(home).close()
    with closing(sqlite3.connect(home / "catalog.db")) as db, db:
        marks = ", ".join("?" * len(_COLUMNS))
        db.executemany(f"INSERT INTO assets ({', '.join(_COLUMNS)}) VALUES ({marks})", map(_row, range(1, 25)))
        db.executemany("INSERT INTO tags VALUES (?, ?)", [(1, "anime"), (1, "two words"), (2, "anime"), (24, "gone")])
        db.execute("INSERT INTO roots VALUES ('/models', 0)")
        db.execute(
            "INSERT INTO lookups (sha256, provider, at, found, facts) VALUES (?, 'civitai', 0, 1, ?)",
            [f"{13:064x}", '{"base_model": "Pony", "creator": "another", "trigger_words": ["zebra"]}'],
        )
    with Catalog.open(home) as catalog:
        yield catalog


def test_a_census_says_what_many_searches_say(catalog: Catalog):
    found = census(catalog)
    assert found.total == catalog.count() == 23
    assert found.kinds == catalog.counts("kind")
    assert list(found.kinds) == ["lora", "checkpoint", "vae"]
    assert found.architectures == {kind: catalog.counts("architecture", f"kind:{kind}") for kind in found.kinds}
    assert found.formats == catalog.counts("format")
    assert found.ratings == {stars: catalog.count(f"rating:{stars}") for stars in range(5, -1, -1)}
    assert found.states == {"missing": 1, "problem": 1}
    assert untagged(catalog) == catalog.count("tag:none") == 21


def test_folders_are_a_tree_with_what_lies_below(catalog: Catalog):
    tree = folder_tree(map(str, catalog.roots()), folders(catalog))
    assert tree.roots == ("/models", "/elsewhere/x")
    assert tree.inside == {"/models": ("/models/a", "/models/b c"), "/models/a": ("/models/a/deep",)}
    for path, count in tree.counts.items():
        assert count == catalog.count(f'path:"{path}/"'), path


def test_roots_inside_of_roots_and_the_root_of_all():
    assert folder_tree(["/a", "/a/b"], {"/a/b/": 2, "/a/c/": 1}).counts == {"/a": 3, "/a/b": 2, "/a/c": 1}
    whole = folder_tree(["/"], {"/": 1, "/a/b/": 2})
    assert whole.roots == ("/",)
    assert whole.counts == {"/": 3, "/a": 2, "/a/b": 2}
    assert not folder_tree([], {})
    assert folder_tree(["/empty"], {}).counts == {"/empty": 0}


@pytest.mark.parametrize("field", FIELDS)
def test_every_value_finds_what_it_says(catalog: Catalog, field: str):
    for value, count in values(catalog, field).items():
        found = catalog.count(f'{field}:"{value}"')
        assert found == count or (field in ("trigger", "algorithm", "quantisation") and found > count), value


def test_values_of_what_sidecars_and_providers_tell(catalog: Catalog):
    assert values(catalog, "creator") == {"another": 1, "somebody": 1, "none": 21}
    assert values(catalog, "lineage") == {"pony": 2, "none": 21}
    assert values(catalog, "tag") == {"anime": 2, "two words": 1, "none": 21}
    assert values(catalog, "from") == {"parent.safetensors": 1}
    assert values(catalog, "quantisation") == {"F16": 1, "Q4_0": 1}
    assert values(catalog, "notes") == {}


def test_sizes_of_some(catalog: Catalog):
    assert total_size(catalog, [1, 2, 3]) == 6 * 400_000_000
    assert total_size(catalog, []) == 0


@pytest.mark.parametrize(
    "sort", ["variant", "title", "notes", "tags", "trigger", "base", "creator", "sha256", "problem"]
)
def test_what_lacks_a_value_comes_last_either_way(catalog: Catalog, sort: str):
    up, down = catalog.ids("", sort), catalog.ids("", sort, reverse=True)
    assert sorted(up) == sorted(down) == sorted(catalog.ids())
    first = {"variant": 1, "notes": 3, "tags": 2, "base": 13, "creator": 13, "problem": 9, "sha256": 11, "trigger": 4}
    last = {"variant": 1, "notes": 3, "tags": 1, "base": 8, "creator": 8, "problem": 7, "sha256": 23, "trigger": 13}
    assert can_sort(sort)
    if sort in first:
        assert up[0] == first[sort]
        assert down[0] == last[sort]


def test_an_order_that_is_none():
    assert not can_sort("beauty")
    with pytest.raises(UsageError, match="cannot be sorted by 'beauty'"):
        order_by("beauty")
