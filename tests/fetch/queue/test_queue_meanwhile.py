"""What happens to the queue while it runs: rows are added, paused and resumed, and how far each is, is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from getting import Getter, sha256
from world import samples
from world.faults import stall

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.fetch.queue import add, full_addresses
from modelhub.jobs import Event, Job


def offer(getter: Getter, number: int, data: bytes) -> None:
    entry = {"data": data, "name": f"file {number}.safetensors", "id": 700 + number}
    getter.world.add_version(number, number, [entry], type="LORA", baseModel="SD 1.5")


class Once:
    """A job that does something as soon as so many bytes have come, and remembers its totals."""

    def __init__(self, after: int, do: Callable[[], None]) -> None:
        self.job, self.totals = Job("get", self._hear, interval=0), []
        self._after, self._do, self._lock = after, do, threading.Lock()
        self.last: Event | None = None

    def _hear(self, event: Event) -> None:
        with self._lock:
            self.totals.append(event.total)
            self.last = event
            due, self._after = event.done >= self._after, self._after if event.done < self._after else 1 << 60
        if due:
            self._do()


def test_what_is_added_meanwhile_runs_beside_and_makes_the_bar_longer(getter: Getter, home: Path):
    large, small = samples.large(3), [samples.lora(seed=n) for n in (2, 3, 4)]
    offer(getter, 1, large)
    for number, data in enumerate(small, 2):
        offer(getter, number, data)
    getter.queue("civitai:1@1")
    orders = getter.plan(*(f"civitai:{n}@{n}" for n in (2, 3, 4))).orders
    go_on, beside = threading.Event(), set[int]()
    getter.world.fault("GET storage /bucket/civitai/701[?]", stall(1_000_000, until=go_on), times=None)

    def more() -> None:
        with Catalog.open(home) as other:
            add(other, orders)

    def look(now: Mapping[int, object]) -> None:
        if [row.state for row in downloads.listed(getter.catalog)][1:] == ["done"] * 3 and not go_on.is_set():
            beside.update(now)
            go_on.set()

    once = Once(200_000, more)
    outcomes = getter.run(job=once.job, hear=look)
    assert [one.status for one in outcomes] == ["downloaded"] * 4
    assert [one.id for one in sorted(outcomes, key=lambda one: one.id)] == [1, 2, 3, 4]
    assert 1 in beside, "the large one still ran when the small ones had come: they ran beside it, not behind"
    assert once.totals[0] == len(large) and once.last is not None
    assert once.last.total == once.last.done == len(large) + sum(map(len, small))
    assert (getter.models / "loras" / "file 4.safetensors").read_bytes() == small[2]


def test_what_was_there_is_told_apart_from_what_comes(getter: Getter, home: Path):
    data = samples.large(3)
    offer(getter, 1, data)
    (number,) = getter.queue("civitai:1@1")
    getter.world.fault("GET storage", stall(1_000_000))

    def pause() -> None:
        with Catalog.open(home) as other:
            downloads.pause(other, [number])

    once = Once(600_000, pause)
    assert [one.status for one in getter.run(job=once.job)] == ["paused"]
    there = downloads.get(getter.catalog, number).done
    assert 0 < there < len(data)
    assert once.last is not None and once.last.total == once.last.done, "what will not come is not reckoned with"
    downloads.resume(getter.catalog, [number])
    getter.world.clear_faults()
    go_on, told = threading.Event(), set[int]()
    getter.world.fault("GET storage", stall(500_000, until=go_on))

    def look(now: Mapping[int, tuple[int, int]]) -> None:
        told.update(kept for done, kept in now.values() if done > there and kept)
        if told:
            go_on.set()

    (outcome,) = getter.run(hear=look)
    assert outcome.sha256 == sha256(data)
    (kept,) = told
    assert there <= kept < len(data)


def test_a_row_that_is_resumed_meanwhile_is_taken_by_the_same_run(getter: Getter, home: Path):
    offer(getter, 1, samples.large(3))
    offer(getter, 2, samples.lora(seed=2))
    ids = getter.queue("civitai:1@1", "civitai:2@2")
    downloads.pause(getter.catalog, [ids[1]])
    go_on = threading.Event()
    getter.world.fault("GET storage /bucket/civitai/701[?]", stall(1_000_000, until=go_on))

    def resume() -> None:
        with Catalog.open(home) as other:
            downloads.resume(other, [ids[1]])
        go_on.set()

    outcomes = getter.run(job=Once(200_000, resume).job)
    assert [one.status for one in outcomes] == ["downloaded", "downloaded"]


def test_secrets_of_orders_that_come_later_are_used_and_not_kept(getter: Getter, home: Path):
    offer(getter, 1, samples.large(2))
    getter.queue("civitai:1@1")
    go_on = threading.Event()
    getter.world.fault("GET storage /bucket/civitai/701[?]", stall(1_000_000, until=go_on))
    url = getter.world.add_file("closed/ink.safetensors", samples.lora(seed=9)) + "?token=hunter2secret"
    orders = getter.plan(url).orders
    secrets: dict[str, str] = {}

    def more() -> None:
        secrets.update(full_addresses(orders))
        with Catalog.open(home) as other:
            add(other, orders)
        go_on.set()

    outcomes = getter.run(job=Once(200_000, more).job, secrets=secrets)
    assert [one.status for one in outcomes] == ["downloaded", "downloaded"]
    asked = getter.world.asked_of("storage", "GET", "/closed")
    assert {one.query.get("token") for one in asked} == {"hunter2secret"}
    assert b"hunter2secret" not in (home / "catalog.db").read_bytes()


def test_a_token_that_was_given_meanwhile_is_found_once_it_is_looked_for_anew(getter: Getter, monkeypatch):
    getter.world.add_version(1, 1, [{"data": samples.lora(), "name": "x.safetensors"}], type="LORA", needs_login=True)
    ids = getter.queue("civitai:1@1")
    assert [one.status for one in getter.run(ids)] == ["failed"]
    monkeypatch.setenv("CIVITAI_TOKEN", getter.world.civitai.token)
    downloads.retry(getter.catalog, ids)
    assert [one.status for one in getter.run(ids)] == ["failed"], "it is looked for once"
    getter.net.forget_tokens()
    downloads.retry(getter.catalog, ids)
    assert [one.status for one in getter.run(ids)] == ["downloaded"]
    monkeypatch.delenv("CIVITAI_TOKEN")
    getter.net.forget_tokens()
    assert getter.world.civitai.token not in getter.net.cleaned(f"said {getter.world.civitai.token}"), "still a secret"
