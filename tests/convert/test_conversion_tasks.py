"""Tasks: convert, prune and repair planned in the same words, and carried out by the same batch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.convert.batch import Item, Planner, plan_batch, run_batch
from modelhub.convert.converting import Options
from modelhub.convert.one import Library, Wish
from modelhub.convert.prune.pruning import Pruning
from modelhub.convert.tasks import Mending, goal_for, planned
from modelhub.scan.adding import add_file
from modelhub.scan.run import scan

BASE = data_path("demo") / "tiny-shapes-base.safetensors"
OUT = "model.diffusion_model.out.2.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with EMA weights, and one with damaged numbers."""
    folder = tmp_path / "models"
    folder.mkdir()
    base = load_file(BASE)
    ema = {f"model_ema.{n[6:].replace('.', '')}": one for n, one in base.items() if n.startswith("model.")}
    save_file(base | ema, folder / "ema.safetensors")
    broken = base[OUT].copy()
    broken.reshape(-1)[:3] = np.nan
    save_file(base | {OUT: broken}, folder / "damaged.safetensors")
    return folder


@pytest.fixture
def catalog(folder: Path, home: Path):
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
        yield catalog


def library(catalog: Catalog) -> Library:
    """One whose trash is told, and moves nothing."""
    return Library(catalog, partial(add_file, catalog), lambda assets: 100 + len(assets))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Options(), "a-converted"), (Options("fp16"), "a-fp16"), (Pruning(), "a.pruned"), (Pruning(only=("vae",)), "a-vae"),
        (Pruning(only=("te1", "clip-l")), "a-te1-clip_l"), (Mending(), "a.repaired"),
    ],
)  # fmt: skip
def test_where_results_go(tmp_path, task, name):
    assert goal_for(tmp_path / "a.safetensors", None, task) == tmp_path / f"{name}.safetensors"
    assert goal_for(tmp_path / "a.safetensors", tmp_path / "b.safetensors", task) == tmp_path / "b.safetensors"


def test_a_batch_prunes_and_the_original_may_go(catalog, folder):
    wish = Wish(Pruning(), trash=True)
    items = {item.source.name: item for item in plan_batch(catalog.find(""), None, wish)}
    assert items["damaged.safetensors"].status == "idle" and items["ema.safetensors"].status == "planned"
    dropped = [part for part in items["ema.safetensors"].parts if part.action == "drop"]
    assert [(part.what, part.tensors) for part in dropped] == [("EMA weights", 682)] and items["ema.safetensors"].same
    done = {item.source.name: item for item in run_batch(library(catalog), [*items.values()], wish)}
    made = done["ema.safetensors"]
    assert made.status == "converted" and made.stays == "" and made.trashed == 101 and made.seconds > 0
    assert load_file(made.goal).keys() == load_file(BASE).keys()
    (again,) = plan_batch([catalog.by_path(folder / "ema.safetensors")], None, wish)
    assert again.status == "already"
    (settled,) = [*run_batch(library(catalog), [again], wish)]
    assert (settled.status, settled.stays, settled.trashed) == ("already", "", 101)


def test_a_part_of_a_model_takes_nothing_over_and_sends_nothing_away(catalog, folder):
    wish = Wish(Pruning(only=("vae",)), trash=True)
    asset = catalog.by_path(folder / "ema.safetensors")
    catalog.tag([asset.id], add=["mine"])
    (item,) = run_batch(library(catalog), plan_batch([asset], None, wish), wish)
    assert item.status == "converted" and item.trashed is None and "only a part" in item.stays
    assert catalog.get(item.id).tags == [] and catalog.get(item.id).kind == "vae"


def test_a_batch_repairs_and_says_what_it_found(catalog, folder):
    assets = catalog.find("", sort="path")
    report = {item.source.name: item for item in plan_batch(assets, None, Wish(Mending()))}
    assert report["ema.safetensors"].message == "Nothing to repair."
    damaged = report["damaged.safetensors"]
    assert damaged.status == "idle" and "none of it can be mended" in damaged.message
    assert [(sentence[:6], outcome[:11]) for sentence, outcome in damaged.health] == [("3 NaN ", "not mended:")]
    wish = Wish(Mending(BASE))
    items = plan_batch([asset for asset in assets if "damaged" in asset.name], None, wish)
    (item,) = run_batch(library(catalog), items, wish)
    assert item.status == "converted" and item.health[0][1] == "mended: taken from tiny-shapes-base"
    assert np.array_equal(load_file(item.goal)[OUT], load_file(BASE)[OUT])


def test_a_file_that_is_not_in_the_catalog_is_worked_on_and_stays(catalog, folder, tmp_path):
    path = tmp_path / "loose.safetensors"
    path.write_bytes((folder / "ema.safetensors").read_bytes())
    wish = Wish(Pruning(), trash=True)
    item = Item(None, goal_for(path, None, wish.options), path)
    Planner([path], wish).look(item)
    assert item.status == "planned" and item.label == "loose.safetensors" and item.before == path.stat().st_size
    assert item.as_dict()["source"] == str(path) and item.as_dict()["source_id"] is None
    (done,) = run_batch(library(catalog), [item], wish)
    assert done.status == "converted" and done.trashed is None and "not in the catalog" in done.stays
    assert path.exists() and catalog.get(done.id).path == tmp_path / "loose.pruned.safetensors"


def test_two_of_one_name_and_a_goal_that_is_a_source(catalog, folder, tmp_path):
    wish = Wish(Pruning())
    here, there = folder / "ema.safetensors", tmp_path / "ema.safetensors"
    there.write_bytes(here.read_bytes())
    goal = tmp_path / "ema.pruned.safetensors"
    planner = Planner([here, there, goal], wish)
    first, second = Item(None, folder / "x.safetensors", here), Item(None, folder / "x.safetensors", there)
    third = Item(None, goal, there)
    for item in (first, second, third):
        planner.look(item)
    assert [item.status for item in (first, second, third)] == ["planned", "skipped", "skipped"]
    assert "of the same name" in second.message and "is itself among" in third.message


def test_a_plan_says_what_is_salvaged(folder):
    for task, salvages in ((Pruning(), False), (Options("fp32", salvage=True), True)):
        with planned(folder / "ema.safetensors", task) as plan:
            assert plan.salvage is salvages and plan.idle == ""
