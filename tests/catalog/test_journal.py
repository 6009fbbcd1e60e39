"""The journal keeps what was done, in order, across sessions."""

from pathlib import Path

import pytest

from modelhub.catalog import journal
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError


def test_entries_survive_the_session_and_come_newest_first(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        first = journal.write(catalog, "rm", "one file went to the trash", {"moves": [["a\nb", "c"]]})
        second = journal.write(catalog, "mv", "a file moved", {})
        assert journal.last(catalog).id == second
        journal.mark_undone(catalog, second)
    with Catalog.open(tmp_path) as catalog:
        assert [entry.id for entry in journal.entries(catalog)] == [second, first]
        assert [entry.id for entry in journal.entries(catalog, limit=1)] == [second]
        kept = journal.last(catalog)
        assert (kept.id, kept.action, kept.details, kept.undone) == (first, "rm", {"moves": [["a\nb", "c"]]}, None)
        assert journal.get(catalog, second).undone is not None


def test_an_entry_can_be_completed_and_forgotten(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        number = journal.write(catalog, "rm", "planned", {"done": False})
        journal.update(catalog, number, {"done": True})
        assert journal.get(catalog, number).details == {"done": True}
        journal.forget(catalog, number)
        assert journal.last(catalog) is None
        with pytest.raises(NotFoundError, match=f"no entry {number}"):
            journal.get(catalog, number)


def test_what_is_written_inside_a_failed_transaction_is_not_kept(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        with pytest.raises(ZeroDivisionError), catalog.atomic():
            journal.write(catalog, "rm", "", {})
            raise ZeroDivisionError
        assert journal.entries(catalog) == []
