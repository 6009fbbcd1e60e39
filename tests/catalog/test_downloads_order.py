"""The order of the queue, and the quick look at its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import GatedError


@pytest.fixture
def ids(home: Path) -> list[int]:
    """Three rows, as 1 to 3."""
    with Catalog.open(home) as catalog:
        plans = [{"goal": f"/m/{n}", "files": [], "provider": "civitai", "raw": {"x": "y" * 1000}} for n in (1, 2, 3)]
        return [downloads.add(catalog, plan, f"Model {n}", 100, None) for n, plan in enumerate(plans, 1)]


def order(catalog: Catalog) -> list[int]:
    assert [one.id for one in downloads.glances(catalog)] == [one.id for one in downloads.listed(catalog)]
    assert list(downloads.open_ids(catalog)) == [one.id for one in downloads.listed(catalog, downloads.TO_RUN)]
    return [one.id for one in downloads.listed(catalog)]


def test_rows_change_places(home: Path, ids: list[int]) -> None:
    with Catalog.open(home) as catalog:
        assert order(catalog) == [1, 2, 3]
        assert downloads.swap(catalog, 2, 3) and order(catalog) == [1, 3, 2]
        assert downloads.swap(catalog, 3, 1) and order(catalog) == [3, 1, 2]
        assert not downloads.swap(catalog, 1, 77) and not downloads.swap(catalog, 1, 1)
        assert order(catalog) == [3, 1, 2]


def test_rows_of_one_moment_change_places_too(home: Path, ids: list[int]) -> None:
    with Catalog.open(home) as catalog:
        catalog.rows("UPDATE downloads SET added = 5")
        assert order(catalog) == [1, 2, 3]
        assert downloads.swap(catalog, 1, 2) and order(catalog)[0] != 1


def test_a_new_row_is_the_last_even_when_the_clock_was_set_back(home: Path, ids: list[int], monkeypatch) -> None:
    monkeypatch.setattr("modelhub.catalog.downloads.time.time", lambda: 1000.0)
    with Catalog.open(home) as catalog:
        downloads.add(catalog, {"goal": "/m/4", "files": []}, "Model 4", None, None)
        assert order(catalog) == [1, 2, 3, 4]


def test_a_glance_tells_why_a_row_failed_and_who_gave_it(home: Path, ids: list[int]) -> None:
    with Catalog.open(home) as catalog:
        downloads.fail(catalog, 2, GatedError("Gated.", "Accept."))
        first, second, _ = downloads.glances(catalog)
    assert (second.state, second.code, second.message, second.hint, second.provider) == (
        "failed", "gated", "Gated.", "Accept.", "civitai"
    )  # fmt: skip
    assert (first.state, first.goal, first.size, first.done, first.provider) == ("waiting", "/m/1", 100, 0, None)
