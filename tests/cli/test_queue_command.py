"""queue: what the list shows, and that each verb changes just the downloads that it may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import GatedError
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.order import Order

Run = Callable[..., Any]


@pytest.fixture
def queue(home: Path, tmp_path: Path) -> list[int]:
    """Four downloads, as 1 to 4: waiting, failed half way, paused, done."""
    with Catalog.open(home) as catalog:
        ids = [_added(catalog, tmp_path / f"{name}.safetensors") for name in "abcd"]
        downloads.begin(catalog, ids[1])
        downloads.progress(catalog, {ids[1]: 500})
        downloads.fail(catalog, ids[1], GatedError("It is \x1b[2Jgated.", "Accept its terms."))
        downloads.pause(catalog, [ids[2]])
        downloads.finish(catalog, ids[3], str(tmp_path / "d.safetensors"), 1000, "ab" * 32)
    return ids


def _added(catalog: Catalog, goal: Path) -> int:
    file = RemoteFile(goal.name, f"http://127.0.0.1:9/{goal.name}", size=1000)
    order = Order(f"civitai:{goal.stem}", "civitai:1@2", "civitai", f"Model\x1b[1m {goal.stem}", (file,), goal)
    return downloads.add(catalog, order.as_dict(), order.title, order.size, order.sha256)


def states(run: Run) -> list[str]:
    return [row["state"] for row in run("queue", "list", "--json").json]


def test_an_empty_queue(run: Run) -> None:
    told = run("queue", "list")
    assert (told.code, told.out) == (0, "") and "empty" in told.err
    assert run("queue", "list", "--json").json == []
    told = run("queue", "run")
    assert (told.code, told.out) == (0, "") and "Nothing waits" in told.err
    assert run("queue", "run", "--json").json == []
    assert run("queue", "retry", "--json").json == [] and run("queue", "clear", "--json").json == []


@pytest.mark.usefixtures("queue")
def test_the_queue_alone_is_listed(run: Run) -> None:
    assert run("queue").out == run("queue", "list").out != ""
    rows = run("queue", "list", "--json").json
    assert run("queue", "--json").json == run("queue", "--json", "list").json == rows != []
    told = run("queue", "--nonsense")
    assert (told.code, told.out) == (2, "") and "--nonsense" in told.err


@pytest.mark.usefixtures("queue")
def test_the_list_says_how_far_each_is_and_why_one_failed(run: Run, tmp_path: Path) -> None:
    told = run("queue", "list")
    head, *rows = told.out.splitlines()
    assert head.split() == ["ID", "STATE", "DONE", "SIZE", "TITLE", "GOAL"]
    assert [row.split()[1] for row in rows[:4]] == ["waiting", "failed", "paused", "done"]
    assert "50%" in rows[1] and "1 kB" in rows[1] and str(tmp_path / "b.safetensors") in rows[1] and "100%" in rows[3]
    assert rows[4] == "2 failed: It is \\x1b[2Jgated. Accept its terms." and "\x1b" not in told.out
    found = run("queue", "list", "--json").json
    assert [row["id"] for row in found] == [1, 2, 3, 4]
    assert found[1]["error"] == {"code": "gated", "message": "It is \\x1b[2Jgated.", "hint": "Accept its terms."}
    assert (found[1]["done"], found[1]["size"], found[0]["error"]) == (500, 1000, None)
    assert found[0]["source"] == "civitai:a" and found[3]["sha256"] == "ab" * 32
    assert [row["id"] for row in run("queue", "list", "--state", "failed", "--json").json] == [2]
    assert "No download is running." in run("queue", "list", "--state", "running").err


@pytest.mark.parametrize(
    ("words", "changed", "after"),
    [
        (["pause", "1", "2"], [1], ["paused", "failed", "paused", "done"]),
        (["resume", "3", "3"], [3], ["waiting", "failed", "waiting", "done"]),
        (["retry"], [2], ["waiting", "waiting", "paused", "done"]),
        (["retry", "2", "4"], [2], ["waiting", "waiting", "paused", "done"]),
        (["remove", "1", "4"], [1, 4], ["failed", "paused"]),
        (["clear"], [4], ["waiting", "failed", "paused"]),
    ],
)
@pytest.mark.usefixtures("queue")
def test_a_verb_changes_what_it_may_and_says_so(
    run: Run, words: list[str], changed: list[int], after: list[str]
) -> None:
    before = states(run)
    would = run("queue", *words, "--dry-run")
    assert would.code == 0 and "would" in would.out and states(run) == before, "a dry run changes nothing"
    told = run("queue", *words, "--json")
    assert told.code == 0 and [row["id"] for row in told.json] == changed and states(run) == after


@pytest.mark.usefixtures("queue")
def test_what_is_in_another_state_stays_and_is_named(run: Run) -> None:
    told = run("queue", "pause", "1", "4")
    assert told.code == 0 and "paused: 1" in told.out and "4 is done, and stays so" in told.err
    assert "\x1b" not in told.out + told.err
    told = run("queue", "retry")
    assert "waits again: 2" in told.out and "modelhub queue run" in told.err


@pytest.mark.usefixtures("queue")
def test_numbers_that_nothing_has_change_nothing(run: Run) -> None:
    for verb in ("pause", "resume", "retry", "remove", "run"):
        told = run("queue", verb, "1", "77", "--json")
        assert told.code == 2 and told.error["code"] == "not-found" and "77" in told.error["message"]
        assert run("queue", verb, "x").code == 2
    assert states(run) == ["waiting", "failed", "paused", "done"]
    assert run("queue", "pause").code == 2 and run("queue", "run", "--jobs", "0").code == 2
    assert all(run("queue", "run", "--jobs", many).code == 2 for many in ("100", "0999", "9" * 5000, "two"))


@pytest.mark.usefixtures("queue")
def test_a_dry_run_of_the_queue_names_what_it_would_run(run: Run) -> None:
    told = run("queue", "run", "--dry-run")
    assert "would run 1 download" in told.err and "waiting" in told.out
    assert [row["id"] for row in run("queue", "run", "--dry-run", "--json").json] == [1]
    assert states(run)[0] == "waiting"
