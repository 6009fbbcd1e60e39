"""Which models went into a file, read from the metadata of every program that merges, and from nonsense."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_time import at_most

from modelhub.catalog import database
from modelhub.catalog.data import data_path
from modelhub.catalog.parents import MERGE_KEYS, Ancestor, merged_from
from modelhub.catalog.store import Catalog
from modelhub.scan.adding import add_file

A, B, C = ("1a" * 32, "2b" * 32, "3c" * 32)
OURS = f'[models]\nA = {{ ref = "/x/one.safetensors", sha256 = "{A}" }}\nB = "two"\nC = {{ sha256 = "{C}" }}\n'


def test_our_own_recipe() -> None:
    assert merged_from({"modelhub.recipe": OURS}) == [
        Ancestor(A, 1, "one.safetensors"),
        Ancestor("", 1, "two"),
        Ancestor(C, 1, ""),
    ]


def test_farther_ones() -> None:
    inner = f'[models]\nA = {{ ref = "old", sha256 = "{B}" }}\n'
    metadata = {
        "modelhub.recipe": OURS,
        "sd_merge_models": json.dumps({A: {"name": "again"}, "4d" * 32: {"name": "far.ckpt [4d4d4d4d4d]"}}),
        "modelhub.ancestry": json.dumps([{"sha256": A, "modelhub.recipe": inner}]),
    }
    assert merged_from(metadata)[3:] == [Ancestor("4d" * 32, 2, "far.ckpt"), Ancestor(B, 2, "old")]


def test_recipes_of_others() -> None:
    models = json.dumps({A: {"name": "one.ckpt"}, C: {"name": "far.ckpt"}})
    webui = json.dumps(
        {"type": "webui", "primary_model_hash": A.upper(), "secondary_model_hash": B, "tertiary_model_hash": None}
    )
    assert merged_from({"sd_merge_recipe": webui, "sd_merge_models": models}) == [
        Ancestor(A, 1, "one.ckpt"), Ancestor(B, 1, ""), Ancestor(C, 2, "far.ckpt"),
    ]  # fmt: skip
    merger = json.dumps(
        {"type": "sd-webui-supermerger", "model_a": "folder\\name [0123456789]", "model_b": B, "model_c": ""}
    )
    assert merged_from({"sd_merge_recipe": merger}) == [Ancestor("", 1, "name"), Ancestor(B, 1, "")]
    mecha = 'version 0.1.0\nmodel "a \\"b\\"/c" model_config="x"\nmodel "d"\nmerge "n_average" &0 &1'
    assert merged_from({"mecha_recipe": mecha}) == [Ancestor("", 1, "c"), Ancestor("", 1, "d")]


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"a":' * 900, "5", "null", '"x"', "9" * 5000, "models = 5", "x" * 2_000_000]
)
def test_nonsense_is_no_merge(text: str) -> None:
    assert merged_from(dict.fromkeys((*MERGE_KEYS, "modelhub.ancestry"), text)) == []


def test_a_recipe_that_would_keep_a_scan_busy_for_minutes_is_none() -> None:
    with at_most(5):
        assert merged_from({"modelhub.recipe": "models." + ".".join(["a"] * 20_000) + " = 1"}) == []


def test_very_many_are_cut() -> None:
    table = {f"{at:064x}": {"name": f"x\n\x1b{at}" + "y" * 220} for at in range(2500)}
    found = merged_from({"sd_merge_models": json.dumps(table)})
    assert len(found) == 2000 and all(len(one.name) == 200 and one.name.isprintable() for one in found)


@pytest.mark.parametrize(
    ("word", "names"), [("D:\\models\\a.ckpt", ["a.ckpt"]), ("models/pipe/", ["pipe"]), ("\\", ["\\"]), (" \n", [])]
)
def test_names_are_the_last_part_that_there_is(word: str, names: list[str]) -> None:
    found = merged_from({"sd_merge_recipe": json.dumps({"primary_model_hash": word})})
    assert [one.name for one in found] == names


VALUES = (
    st.none() | st.integers() | st.text(max_size=70) | st.sampled_from([A, B]) | st.just([A]) | st.just({"name": 5})
)


@given(st.dictionaries(st.sampled_from([A, "primary_model_hash", "model_a", "x"]), VALUES), st.text())
def test_whatever_it_is_there_is_an_answer(table: dict[str, object], text: str) -> None:
    for one in merged_from(
        {"sd_merge_recipe": json.dumps(table), "sd_merge_models": json.dumps(table), "mecha_recipe": text}
    ):
        assert one.sha256 or one.name
        one.name.encode()


def test_an_older_catalog_learns_of_merges_by_its_next_scan(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / "catalog.db") as old:
        database._migrate(old, sorted(data_path("migrations").glob("*.sql"))[:2])
        insert = (
            "INSERT INTO assets (path, name, device, inode, size, modified, kind, format, identified_by, added) VALUES"
        )
        for at, kind in enumerate(("checkpoint", "lora")):
            old.execute(f"{insert} (?, 'x', 1, ?, 1, 1, ?, 'safetensors', 'rules', 0)", [kind, at, kind])
    old.close()
    with Catalog.open() as catalog:
        rows = catalog.rows("SELECT kind, identified_by, parents FROM assets ORDER BY kind").fetchall()
        assert [tuple(row) for row in rows] == [("checkpoint", "", None), ("lora", "rules", None)]


def test_what_went_into_a_file_follows_it_through_the_catalog(make_file, tmp_path: Path) -> None:
    import numpy as np

    path = make_file("m.safetensors", {"x": np.zeros(2, np.float32)}, {"modelhub.recipe": OURS})
    with Catalog.open() as catalog:
        number = add_file(catalog, path)
        assert [one.name for one in catalog.parents(number)] == ["one.safetensors", "two", ""]
        whole = catalog.whole(number)
        catalog.remove([number])
        assert catalog.parents(number) == []
        assert len(catalog.parents(catalog.put_back(whole))) == 3, "also after an undo"
        make_file("m.safetensors", {"x": np.zeros(3, np.float32)})
        assert catalog.parents(add_file(catalog, path)) == [], "another file there is no merge"
