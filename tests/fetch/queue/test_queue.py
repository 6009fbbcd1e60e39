"""Downloads in the queue: several at once, across restarts and processes, each whole or still to be had."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from getting import Getter, sha256
from world import samples
from world.faults import drop, refuse, slow, stall, wrong_bytes

from modelhub.catalog import downloads
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, WrongBytesError
from modelhub.fetch import queue
from modelhub.jobs import Event, Job


def test_a_model_is_got_whole_into_its_folder_and_the_catalog(getter: Getter):
    data = samples.lora("lora-sd15-kohya", 1)
    getter.world.add_version(1, 2, [{"data": data, "name": "a style.safetensors"}], type="LORA", baseModel="SD 1.5")
    outcome = getter.one("civitai:1@2")
    path = getter.models / "loras" / "a style.safetensors"
    assert (outcome.status, outcome.path, outcome.size, outcome.sha256) == ("downloaded", path, len(data), sha256(data))
    assert path.read_bytes() == data
    assert getter.files() == ["loras/a style.safetensors"]
    asset = getter.catalog.by_path(path)
    assert asset is not None
    assert (asset.kind, asset.architecture, asset.sha256) == ("lora", "sd1", sha256(data))
    row = downloads.get(getter.catalog, outcome.id)
    assert (row.state, row.goal, row.done, row.size) == ("done", str(path), len(data), len(data))


def add_loras(getter: Getter, count: int) -> dict[str, bytes]:
    """Versions 1, 2, …: source to bytes."""
    files = {f"civitai:{n}@{n}": samples.lora(seed=n) for n in range(1, count + 1)}
    for number, data in enumerate(files.values(), 1):
        entry = {"data": data, "name": f"lora {number}.safetensors", "id": 700 + number}
        getter.world.add_version(number, number, [entry], type="LORA", baseModel="SD 1.5")
    return files


def served(getter: Getter) -> int:
    """Bytes of files that the storage host has sent."""
    return sum(one.sent for one in getter.world.asked_of("storage", "GET") if one.status in (200, 206))


def parts(getter: Getter) -> list[str]:
    return [name for name in getter.files() if "/." in name]


class Watcher:
    """A job that does something once so many bytes have come."""

    def __init__(self, after: int, do) -> None:
        self.job = Job("get", self._hear, interval=0)
        self.events: list[Event] = []
        self._after, self._do = after, do
        self._lock = threading.Lock()

    def _hear(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)
            due = event.unit == "bytes" and event.done >= self._after and self._do is not None
            do, self._do = (self._do, None) if due else (None, self._do)
        if do:
            do()


def test_several_at_once_and_one_bar_for_all(getter: Getter):
    files = add_loras(getter, 4)
    ids = getter.queue(*files)
    watcher = Watcher(0, None)
    outcomes = getter.run(ids, jobs=3, job=watcher.job)
    assert [one.id for one in outcomes] == ids
    assert [one.sha256 for one in outcomes] == [sha256(data) for data in files.values()]
    total = sum(map(len, files.values()))
    progress = [event for event in watcher.events if event.level == "progress"]
    assert {(event.phase, event.total, event.unit) for event in progress} == {("downloading", total, "bytes")}
    assert progress[-1].done == total
    names = {f"lora {n}.safetensors" for n in range(1, 5)}
    items = {event.item.partition(" and ")[::2] for event in progress if event.item}
    assert {name for name, _ in items} <= names and {more for _, more in items} <= {"", "1 more", "2 more"}


def test_one_failure_stops_no_other_and_is_tried_again(getter: Getter):
    files = add_loras(getter, 3)
    ids = getter.queue(*files)
    getter.world.fault("GET storage /bucket/civitai/702[?]", wrong_bytes(at=100), times=5)
    outcomes = getter.run(ids)
    assert [one.status for one in outcomes] == ["downloaded", "failed", "downloaded"]
    assert isinstance(outcomes[1].error, WrongBytesError)
    row = downloads.get(getter.catalog, ids[1])
    assert (row.state, row.code) == ("failed", "wrong-bytes")
    assert not (getter.models / "loras" / "lora 2.safetensors").exists()
    getter.world.clear_faults()
    assert getter.run(ids) != [], "what failed is told again"
    assert downloads.get(getter.catalog, ids[1]).state == "failed", "and does not run by itself"
    assert downloads.retry(getter.catalog) == [ids[1]]
    assert [one.status for one in getter.run()] == ["downloaded"]


def test_what_is_stopped_waits_and_goes_on_where_it_was(getter: Getter):
    data = samples.large(3)
    getter.world.add_version(1, 2, [{"data": data, "name": "large.safetensors"}])
    ids = getter.queue("civitai:1@2")
    getter.world.fault("GET storage", stall(2_000_000))
    watcher = Watcher(1_000_000, lambda: watcher.job.cancel())
    with pytest.raises(CancelledError):
        getter.run(ids, job=watcher.job)
    row = downloads.get(getter.catalog, ids[0])
    assert row.state == "waiting"
    assert 1_000_000 <= row.done < len(data)
    assert not (getter.models / "checkpoints" / "large.safetensors").exists()
    (planned,) = getter.plan("civitai:1@2").items
    assert planned.status == "resume"
    assert 0 < planned.there < len(data)
    assert planned.to_come == len(data) - planned.there
    before = served(getter)
    (outcome,) = getter.run(ids)
    assert outcome.sha256 == sha256(data)
    assert served(getter) - before == len(data) - planned.there, "nothing comes twice"
    assert parts(getter) == []


def test_a_pause_from_elsewhere_stops_that_one_only(getter: Getter, home: Path):
    files = add_loras(getter, 2)
    getter.world.add_version(9, 9, [{"data": samples.large(2), "name": "large.safetensors", "id": 709}])
    ids = getter.queue("civitai:9@9", *files)
    getter.world.fault("GET storage /bucket/civitai/709[?]", stall(1_000_000, 120))

    def pause() -> None:
        with Catalog.open(home) as other:
            downloads.pause(other, [ids[0]])

    watcher = Watcher(1_000_000, pause)
    begun = time.monotonic()
    outcomes = getter.run(ids, job=watcher.job)
    assert time.monotonic() - begun < 20
    assert [one.status for one in outcomes] == ["paused", "downloaded", "downloaded"]
    assert downloads.get(getter.catalog, ids[0]).state == "paused"
    assert getter.run() == [], "what is paused does not run"
    getter.world.clear_faults()
    downloads.resume(getter.catalog, [ids[0]])
    assert [one.status for one in getter.run()] == ["downloaded"]


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_removed_while_it_runs_leaves_nothing_unless_told(getter: Getter, home: Path, keep: bool):
    getter.world.add_version(9, 9, [{"data": samples.large(2), "name": "large.safetensors"}])
    ids = getter.queue("civitai:9@9")
    getter.world.fault("GET storage", stall(1_000_000))

    def remove() -> None:
        with Catalog.open(home) as other:
            assert [row.id for row in queue.remove(other, ids, keep_part=keep)] == ids

    watcher = Watcher(500_000, remove)
    outcomes = getter.run(ids, job=watcher.job)
    assert [one.status for one in outcomes] == ["removed"]
    assert (getter.files() != [], parts(getter) != []) == (keep, keep)
    assert downloads.listed(getter.catalog) == []
    assert list((home / "cache" / "downloads").iterdir()) == [], "no lock and no mark stays"


@pytest.mark.parametrize("keep", [False, True])
def test_removing_what_waits_takes_its_part_away_unless_told(getter: Getter, keep: bool):
    getter.world.add_version(9, 9, [{"data": samples.large(2), "name": "large.safetensors"}])
    ids = getter.queue("civitai:9@9")
    getter.world.fault("GET storage", drop(900_000))
    getter.world.fault("GET storage", refuse(), times=None)
    assert [one.status for one in getter.run(ids)] == ["failed"]
    assert parts(getter) != []
    queue.remove(getter.catalog, ids, keep_part=keep)
    assert (parts(getter) != []) is keep


# -- processes ---------------------------------------------------------------------------------------------------------

_RUN = """
import sys
from pathlib import Path
from modelhub.fetch.net import Net
from modelhub.fetch.queue import run
from modelhub.scan.adding import add_file
with Net() as net:
    print("begun", flush=True)
    for one in run(Path(sys.argv[1]), net, add_file, jobs=2, look=0.1):
        print(one.id, one.status, flush=True)
"""


def start(home: Path) -> subprocess.Popen[str]:
    """A process that runs the queue."""
    return subprocess.Popen([sys.executable, "-c", _RUN, str(home)], stdout=subprocess.PIPE, text=True)


def waited(true, what: str) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.01)


def test_a_killed_process_leaves_a_row_that_is_taken_again(getter: Getter, home: Path):
    data = samples.large(4)
    getter.world.add_version(1, 2, [{"data": data, "name": "large.safetensors"}])
    ids = getter.queue("civitai:1@2")
    getter.world.fault("GET storage", stall(3_000_000))
    process = start(home)
    waited(lambda: downloads.get(getter.catalog, ids[0]).done >= 2_000_000, "bytes")
    process.kill()
    process.communicate(timeout=60)
    assert downloads.get(getter.catalog, ids[0]).state == "running"
    getter.world.clear_faults()
    (outcome,) = getter.run()
    assert (outcome.status, outcome.sha256) == ("downloaded", sha256(data))
    again = getter.world.asked_of("storage", "GET")[-1].range
    assert again is not None
    assert int(again.removeprefix("bytes=").partition("-")[0]) >= 2_000_000, "what came before is not fetched again"
    assert getter.files() == ["checkpoints/large.safetensors"]
    assert list((home / "cache" / "downloads").iterdir()) == []


def test_two_processes_share_one_queue(getter: Getter, home: Path):
    files = add_loras(getter, 8)
    ids = getter.queue(*files)
    getter.world.fault("GET storage", slow(1_500_000), times=None)
    both = [start(home), start(home)]
    said = [process.communicate(timeout=90)[0].split("\n")[1:-1] for process in both]
    done = sorted(int(line.split()[0]) for lines in said for line in lines)
    assert done == ids, "each was run by one of them"
    assert all(line.endswith("downloaded") for lines in said for line in lines)
    assert served(getter) == sum(map(len, files.values())), "no byte came twice"
    assert getter.files() == [f"loras/lora {n}.safetensors" for n in range(1, 9)]


def test_what_another_process_has_taken_is_waited_for(getter: Getter, home: Path):
    getter.world.add_version(1, 2, [{"data": samples.large(2), "name": "large.safetensors"}])
    ids = getter.queue("civitai:1@2")
    getter.world.fault("GET storage", slow(2_000_000))
    process = start(home)
    waited(lambda: downloads.get(getter.catalog, ids[0]).state == "running", "the other process")
    (outcome,) = getter.run(ids)
    process.communicate(timeout=60)
    assert (outcome.status, outcome.sha256) == ("downloaded", sha256(samples.large(2)))
    assert len(getter.world.asked_of("storage", "GET")) == 1


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_token_in_an_address_is_used_and_never_kept(getter: Getter, home: Path):
    source = getter.world.add_file("x.safetensors", samples.lora(seed=3)) + "?token=s3cr3t-t0ken"
    made = getter.plan(source)
    ids = queue.add(getter.catalog, made.orders)
    (outcome,) = getter.run(ids, orders=made.orders)
    assert outcome.status == "downloaded"
    assert [one.query.get("token") for one in getter.world.asked_of("storage")] != []
    assert {one.query.get("token") for one in getter.world.asked_of("storage")} == {"s3cr3t-t0ken"}
    getter.catalog.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = b"".join(path.read_bytes() for path in [*home.rglob("*"), *getter.models.rglob("*")] if path.is_file())
    assert b"x.safetensors" in kept
    assert b"s3cr3t" not in kept


def test_bytes_that_came_another_way_meanwhile_are_not_fetched(getter: Getter):
    files = add_loras(getter, 1)
    ids = getter.queue(*files)
    path = getter.models / "loras" / "lora 1.safetensors"
    path.write_bytes(files["civitai:1@1"])
    (outcome,) = getter.run(ids)
    assert (outcome.status, outcome.path) == ("owned", path)
    assert getter.world.asked_of("storage") == []
    assert getter.catalog.by_path(path) is not None, "and are known now"


def test_a_job_that_was_stopped_before_begins_nothing(getter: Getter):
    ids = getter.queue(*add_loras(getter, 1))
    job = Job("get")
    job.cancel()
    with pytest.raises(CancelledError):
        getter.run(ids, job=job)
    assert downloads.get(getter.catalog, ids[0]).state == "waiting"
    assert getter.world.asked_of("storage") == []


def test_one_content_in_two_rows_comes_once(getter: Getter, tmp_path: Path):
    data = samples.lora(seed=5)
    getter.world.add_version(1, 1, [{"data": data, "name": "one.safetensors"}], type="LORA")
    url = getter.world.add_file("two.safetensors", data) + f"#sha256={sha256(data)}"
    ids = [*getter.queue("civitai:1@1"), *getter.queue(url)]
    getter.world.fault("GET storage /bucket", slow(1_000_000))
    outcomes = getter.run(ids, jobs=2)
    assert [one.status for one in outcomes] == ["downloaded", "owned"]
    assert outcomes[1].path == outcomes[0].path
    assert getter.files() == ["loras/one.safetensors"]


def test_what_is_done_keeps_little(getter: Getter):
    add_loras(getter, 1)
    outcome = getter.one("civitai:1@1")
    row = downloads.get(getter.catalog, outcome.id)
    assert row.plan["raw"] == {}
    assert row.plan["source"] == "civitai:1@1"
