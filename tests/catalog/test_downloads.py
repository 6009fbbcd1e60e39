"""Rows of downloads survive a restart, and two processes never begin the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import GatedError, LoginNeededError, ModelhubError, NotFoundError


@pytest.fixture
def catalog(home: Path) -> Iterator[Catalog]:
    with Catalog.open(home) as opened:
        yield opened


def order(name: str = "a", sha256: str = "1" * 64) -> dict[str, Any]:
    file = {"name": name, "url": f"https://example.org/{name}", "path": "", "size": 10, "exact": True}
    return {"source": name, "goal": f"/models/{name}.safetensors", "files": [{**file, "hashes": {"sha256": sha256}}]}


def add(catalog: Catalog, name: str = "a", sha256: str = "1" * 64) -> int:
    return downloads.add(catalog, order(name, sha256), f"Title {name}", 10, sha256)


def test_a_row_outlives_the_connection(catalog: Catalog, home: Path):
    number = add(catalog)
    with Catalog.open(home) as again:
        row = downloads.get(again, number)
    assert (row.state, row.title, row.goal, row.size, row.done) == (
        "waiting",
        "Title a",
        "/models/a.safetensors",
        10,
        0,
    )
    assert row.plan == order()
    assert row.error is None
    shown = row.as_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["path"], shown["source"], shown["error"]) == ("/models/a.safetensors", "a", None)


def test_the_same_order_twice_is_one_row(catalog: Catalog):
    first = add(catalog)
    downloads.begin(catalog, first)
    downloads.fail(catalog, first, LoginNeededError("Who?", "Say."))
    assert add(catalog) == first
    assert downloads.get(catalog, first).state == "waiting"
    assert downloads.get(catalog, first).code is None
    assert add(catalog, sha256="2" * 64) != first, "other bytes for the same path"
    downloads.finish(catalog, first, "/x", 10, None)
    assert add(catalog) not in (first,), "what is done may be wanted again"


def test_an_order_that_runs_is_left_alone(catalog: Catalog):
    first = add(catalog)
    downloads.begin(catalog, first)
    assert add(catalog) == first
    assert downloads.get(catalog, first).state == "running"


def test_an_error_is_told_again_as_what_it_was(catalog: Catalog):
    number = add(catalog)
    downloads.fail(catalog, number, GatedError("Accept the terms.", "Open the page."))
    error = downloads.get(catalog, number).error
    assert type(error) is GatedError
    assert (error.message, error.hint, error.exit_code) == ("Accept the terms.", "Open the page.", 5)
    assert downloads.get(catalog, number).as_dict()["error"]["code"] == "gated"


def test_an_error_of_another_modelhub_is_some_error(catalog: Catalog):
    number = add(catalog)
    error = ModelhubError("Something new.")
    error.code = "something-new"
    downloads.fail(catalog, number, error)
    assert type(downloads.get(catalog, number).error) is ModelhubError


def test_states_go_their_ways(catalog: Catalog):
    one, two, three = add(catalog, "a"), add(catalog, "b"), add(catalog, "c")
    assert downloads.begin(catalog, one)
    assert downloads.pause(catalog, [one, three]) == [one, three]
    assert not downloads.begin(catalog, one)
    assert not downloads.wait_again(catalog, one), "its runner must not wake it"
    assert downloads.resume(catalog, [one, two]) == [one]
    assert downloads.retry(catalog) == []
    downloads.fail(catalog, two, LoginNeededError("Who?"))
    assert not downloads.begin(catalog, two)
    assert downloads.retry(catalog) == [two]
    assert downloads.states(catalog, [one, two, three, 99]) == {one: "waiting", two: "waiting", three: "paused"}
    downloads.finish(catalog, one, "/models/other.safetensors", 12, "3" * 64)
    done = downloads.get(catalog, one)
    assert (done.state, done.goal, done.size, done.done, done.sha256) == (
        "done",
        "/models/other.safetensors",
        12,
        12,
        "3" * 64,
    )
    assert [row.id for row in downloads.listed(catalog, ["done"])] == [one]
    assert set(downloads.open_goals(catalog)) == {"/models/b.safetensors", "/models/c.safetensors"}
    assert downloads.clear(catalog) == 1
    assert [row.id for row in downloads.remove(catalog, [two])] == [two]
    with pytest.raises(NotFoundError, match=f"no download {two}"):
        downloads.get(catalog, two)


def test_an_id_is_never_given_twice(catalog: Catalog):
    first = add(catalog)
    downloads.remove(catalog, [first])
    assert add(catalog) > first


def test_progress_is_kept_until_it_has_ended(catalog: Catalog):
    number = add(catalog)
    downloads.begin(catalog, number)
    downloads.progress(catalog, {number: 7, 99: 1})
    assert downloads.get(catalog, number).done == 7
    downloads.pause(catalog, [number])
    downloads.progress(catalog, {number: 9})
    assert downloads.get(catalog, number).done == 9, "what still came while its runner stopped"
    downloads.resume(catalog, [number])
    downloads.begin(catalog, number)
    downloads.finish(catalog, number, "x", 11, "0" * 64)
    ended = downloads.get(catalog, number).done
    downloads.progress(catalog, {number: 9})
    assert downloads.get(catalog, number).done == ended


def test_two_processes_never_begin_one_row(catalog: Catalog, home: Path):
    """Many rows that only wait, begun by two processes at once: each gets its own."""
    ids = [add(catalog, f"m{number}", f"{number:064x}") for number in range(30)]
    code = (
        "import sys\nfrom pathlib import Path\nfrom modelhub.catalog import downloads\n"
        "from modelhub.catalog.store import Catalog\n"
        "with Catalog.open(Path(sys.argv[1])) as c:\n"
        "    sys.stdin.readline()\n"
        "    for i in map(int, sys.argv[2].split(',')):\n"
        "        with c.atomic():\n"
        "            got = downloads.states(c, [i])[i] == 'waiting' and downloads.begin(c, i)\n"
        "        if got: print(i)\n"
    )
    words = [sys.executable, "-c", code, str(home), ",".join(map(str, ids))]
    both = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    got = [list(map(int, one.communicate(timeout=60)[0].split())) for one in both]
    assert sorted(got[0] + got[1]) == ids
