"""Kept fits: what comes back, what is swept, and what a catalog that cannot be written does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.catalog.asset import FileStat
from modelhub.catalog.fits import Fits
from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog

ONE, TWO, GONE = "1" * 32, "2" * 32, "3" * 32
FIT = [{"unet": {"ok": 3}}, [["unet", "ok", 'a "name"\n\u202e\x1b', "", "", "é", 1]], {}, True]


@pytest.fixture
def catalog(home: Path) -> Iterator[Catalog]:
    with Catalog.open(home) as opened:
        for at, digest in enumerate((ONE, TWO)):
            identity = Identity(kind="lora", fingerprint=digest)
            opened.record(Path(f"/m/{at}"), FileStat(1, at, 1, 1), identity, "rules")
        yield opened


def kept(catalog: Catalog) -> set[tuple[str, str, str]]:
    return {tuple(row) for row in catalog.rows("SELECT adapter, model, made_by FROM fits")}


def test_what_was_kept_comes_back_as_it_was(catalog: Catalog) -> None:
    fits = Fits(catalog, "rules")
    fits.keep([(ONE, TWO, FIT), (ONE, f"{TWO} nf4", [1]), (TWO, ONE, [2])])
    assert dict(fits.of(ONE)) == {TWO: FIT, f"{TWO} nf4": [1]}
    assert dict(fits.of(TWO)) == {ONE: [2]} and dict(fits.of(GONE)) == {}
    fits.keep([(ONE, TWO, [3])])
    assert dict(Fits(catalog, "rules").of(ONE))[TWO] == [3], "the newer one counts"
    assert dict(Fits(catalog, "other").of(ONE)) == {}


def test_sweeping_leaves_what_these_rules_made_for_layouts_that_are_there(catalog: Catalog) -> None:
    Fits(catalog, "old").keep([(ONE, f"{TWO} old", [0])])
    fits = Fits(catalog, "rules")
    fits.sweep()
    assert len(kept(catalog)) == 1, "nothing new, nothing to do"
    fits.keep([(ONE, TWO, [1]), (ONE, f"{TWO} nf4", [1]), (ONE, GONE, [1]), (GONE, TWO, [1])])
    fits.sweep()
    assert kept(catalog) == {(ONE, TWO, "rules"), (ONE, f"{TWO} nf4", "rules")}


def test_a_catalog_that_is_written_to_by_another_keeps_nothing_and_is_not_asked_again(
    catalog: Catalog, home: Path
) -> None:
    other = sqlite3.connect(home / "catalog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    fits = Fits(catalog, "rules")
    fits.keep([(ONE, TWO, [1])])
    other.rollback()
    fits.keep([(ONE, TWO, [1])])
    fits.sweep()
    assert kept(catalog) == set()
    other.close()


def test_a_catalog_of_before_gets_the_table(home: Path) -> None:
    with Catalog.open(home) as catalog, catalog.atomic():
        catalog.rows("DROP TABLE fits")
        catalog.rows("DELETE FROM _sqlite_migrations WHERE name = '004_fits'")
        catalog.rows("PRAGMA user_version = 3")
    with Catalog.open(home) as catalog:
        Fits(catalog, "rules").keep([(ONE, TWO, [1])])
        assert dict(Fits(catalog, "rules").of(ONE)) == {TWO: [1]}
