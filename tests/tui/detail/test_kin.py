"""Kin: who an asset's relatives are, found in the catalog alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelhub.catalog import lookups
from modelhub.catalog.asset import FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.lookups import Lookup, ModelAnswer
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError
from modelhub.formats.hashes import Hashes
from modelhub.jobs import QUIET, Job
from modelhub.tui.detail.kin import Relative, kin_of

ONE, TWO = "1a" * 32, "2b" * 32


@pytest.fixture
def catalog(home):
    with Catalog.open(home) as opened:
        yield opened


def record(catalog, name, parents=(), sha256=None, **identity):
    number = len(catalog.ids()) + 1
    found = Identity(**{"kind": "vae", **identity})
    columns = {"parents": json.dumps(parents)} if parents else {}
    row = catalog.record(Path(f"/m/{name}.safetensors"), FileStat(1, number, 5, 0), found, "1", **columns)
    if sha256:
        catalog.set_hashes(row, Hashes(sha256=sha256))
    return catalog.get(row)


def last(catalog, asset, job=QUIET):
    return list(kin_of(catalog, asset, job))[-1]


def test_parents_are_found_by_hash_then_by_name(catalog):
    one = record(catalog, "renamed", sha256=ONE)
    two = record(catalog, "named")
    merge = record(
        catalog,
        "merge",
        [[ONE, 1, "old name.safetensors"], ["", 1, "named"], [TWO, 1, ""], ["", 2, "far"]],
        sha256="3c" * 32,
    )
    found = last(catalog, merge)
    assert found.parents == (
        Relative("old name.safetensors", one.id),
        Relative("named", two.id),
        Relative(TWO[:10], note="not in the library"),
    )
    assert [relative.number for relative in last(catalog, one).merges] == [merge.id]


def test_another_file_of_the_same_name_is_no_parent(catalog):
    record(catalog, "base", sha256=TWO)
    merge = record(catalog, "merge", [[ONE, 1, "base.safetensors"]])
    assert last(catalog, merge).parents == (Relative("base.safetensors", note="not in the library"),)


def test_copies_are_told_by_their_paths(catalog):
    one, two = record(catalog, "a", sha256=ONE), record(catalog, "b", sha256=ONE)
    assert last(catalog, one).copies == (Relative("b.safetensors", two.id, "/m"),)


def test_known_updates_need_no_network(catalog):
    asset = record(catalog, "a", sha256=ONE)
    lookups.keep(catalog, [Lookup(ONE, "civitai", True, {"base_model": "SDXL 1.0"}, "7", "70", 5.0)])
    assert last(catalog, asset).newer == ()
    versions = [{"id": 71, "name": "v2", "base_model": "SDXL 1.0"}, {"id": 70, "name": "v1", "base_model": "SDXL 1.0"}]
    lookups.keep_models(catalog, [ModelAnswer("civitai", "7", True, {"versions": versions}, 5.0)])
    assert [one.address for one in last(catalog, asset).newer] == ["civitai:7@71"]
    catalog.never_look_up([asset.id])
    assert last(catalog, catalog.get(asset.id)).newer == ()


def test_what_takes_long_comes_second_and_can_be_stopped(catalog):
    record(catalog, "lora", kind="lora", architecture="sd1")
    model = record(catalog, "model", kind="checkpoint", architecture="sd1")
    first, second = kin_of(catalog, model, QUIET)
    assert first.fits.is_looking and first.fits.partners == 1
    assert not second.fits.is_looking and sum(second.fits.counts.values()) == 1
    stopped = Job("kin")
    stopped.cancel()
    with pytest.raises(CancelledError):
        list(kin_of(catalog, model, stopped))


def test_without_partners_there_is_nothing_to_look_at(catalog):
    model = record(catalog, "model", kind="checkpoint", architecture="sd1")
    found = list(kin_of(catalog, model, QUIET))
    assert len(found) == 1 and found[0].fits.partners == 0 and not found[0].fits.is_looking
    assert last(catalog, record(catalog, "x", kind="other")).fits is None
