"""A file comes whole, verified and locked; what is left behind is found, shown and removed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3
from download_bench import QUICK, Bench, some_bytes
from world import faults

from modelhub.errors import CancelledError, FileError, ModelhubError, NoSpaceError, NotFoundError, UnreachableError
from modelhub.fetch.download import already, discard, fetched, left
from modelhub.fetch.download import sink as sinks
from modelhub.fetch.download.digests import BLOCK
from modelhub.fetch.net import Net
from modelhub.formats.parts import sweep
from modelhub.formats.walk import find_assets
from modelhub.jobs import Event, Job


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def sha256sum(path: Path) -> str:
    return subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout[:64]


def test_the_file_is_what_curl_gets(bench: Bench, tmp_path: Path):
    found = bench.get()
    copy = tmp_path / "copy"
    subprocess.run(["curl", "-sf", "--noproxy", "*", "-o", str(copy), bench.file.url], check=True)
    assert bench.goal.read_bytes() == copy.read_bytes()
    assert bench.beside == ["mine.safetensors"]
    assert found.hashes.sha256 == sha256sum(copy)
    assert (found.size, found.notes, found.resumed) == (300_000, (), 0)
    assert sum(bench.counts) == 300_000


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
def test_hashes_are_right_for_every_size(bench: Bench, count: int):
    bench.serve(some_bytes(count), "data.bin" if count else "empty.txt")
    hashes = bench.get().hashes
    assert bench.goal.read_bytes() == bench.data
    assert hashes.sha256 == bench.sha256
    assert hashes.blake3 == blake3(bench.data).hexdigest()
    assert hashes.crc32 == f"{zlib.crc32(bench.data):08x}"
    assert hashes.autov2 == bench.sha256[:10]


@pytest.mark.parametrize("fault", [faults.chunked(), faults.no_length()], ids=lambda fault: fault.name)
def test_a_body_of_untold_length_is_taken(bare: Bench, fault: faults.Fault):
    bare.serve(some_bytes(3_000_000))
    bare.world.fault("GET storage", fault)
    bare.get()
    assert bare.goal.read_bytes() == bare.data


def test_the_name_that_the_server_gives_is_handed_on(bench: Bench):
    bench.world.fault("GET storage", faults.named_utf8("Ünser Modell.safetensors"))
    assert bench.get().name == "Ünser Modell.safetensors"


def test_folders_are_made_and_taken_away_if_nothing_comes(bench: Bench, tmp_path: Path):
    bench.goal = tmp_path / "new" / "deep" / "x.safetensors"
    bench.world.fault("GET storage", faults.status(404), times=None)
    with pytest.raises(NotFoundError):
        bench.get()
    assert not (tmp_path / "new").exists()


def test_in_the_block_the_part_is_hidden_and_locked(bench: Bench, make_file):
    make_file("models/other.safetensors", {})
    with (
        Net(lambda provider: None, patience=QUICK) as net,
        fetched(bench.file, bench.goal, "web", net) as found,
    ):
        assert found.part.parent == bench.goal.parent
        assert sha256sum(found.part) == bench.sha256
        assert sweep(bench.goal.parent) == []
        names = [Path(asset.path).name for asset in find_assets([bench.goal.parent], lambda *error: None)]
        assert names == ["other.safetensors"]
        with pytest.raises(FileError, match="being downloaded already"):
            bench.get()
        with pytest.raises(FileError, match="being downloaded already"):
            discard(bench.file, bench.goal)
        assert found.part.exists()
    assert bench.beside == ["other.safetensors"], "nobody moved it, so it is gone"


def test_an_error_in_the_block_keeps_the_file_for_the_next_try(bench: Bench):
    bench.goal.parent.mkdir()
    with (
        Net(lambda provider: None, patience=QUICK) as net,
        pytest.raises(ZeroDivisionError),
        fetched(bench.file, bench.goal, "web", net),
    ):
        _ = 1 / 0
    assert already(bench.file, bench.goal) == 300_000
    assert sweep(bench.goal.parent) == []
    asked = len(bench.world.asked)
    found = bench.get()
    assert (found.resumed, len(bench.world.asked)) == (300_000, asked), "its hash is known, so nobody needs to be asked"
    assert bench.goal.read_bytes() == bench.data


def test_what_is_left_is_found_and_discarded(bench: Bench):
    bench.world.fault("GET storage", faults.drop(100_000), faults.refuse(), faults.status(404))
    with pytest.raises(NotFoundError):
        bench.get()
    there = already(bench.file, bench.goal)
    assert there == 100_000
    (one,) = left(bench.goal.parent)
    assert (one.size, one.place.part) == (there, bench.part)
    assert one.state is not None
    assert (one.state.size, one.state.goal) == (300_000, "mine.safetensors")
    assert one.state.host.startswith("localhost:")
    discard(bench.file, bench.goal)
    assert (already(bench.file, bench.goal), bench.beside) == (0, [])
    discard(bench.file, bench.goal)


def test_a_cancelled_job_keeps_what_came(bench: Bench):
    bench.serve(some_bytes(3_000_000))
    job = Job("get")
    bench.world.fault("GET storage", faults.stall(1_500_000))
    bench.when(1_500_000, lambda: threading.Timer(0.1, job.cancel).start())
    with pytest.raises(CancelledError, match="is kept"):
        bench.get(job)
    assert already(bench.file, bench.goal) == 1_500_000
    found = bench.get()
    assert (found.resumed, bench.ranges[-1]) == (1_500_000, "bytes=1500000-")
    assert bench.goal.read_bytes() == bench.data


def test_nothing_stays_open(bench: Bench):
    bench.serve(some_bytes(3_000_000))
    bench.get()
    threads, descriptors = threading.active_count(), open_files()
    for fault in (faults.drop(2_000_000), faults.html(), faults.status(404)):
        bench.world.fault("GET storage", fault)
        with suppress(ModelhubError):
            bench.get()
    assert open_files() <= descriptors + 2, "what the servers of this very process hold"
    assert [one.name for one in threading.enumerate() if one.name in ("hash", "sync")] == []
    assert threading.active_count() <= threads + 2


def test_another_download_can_be_waited_for(bench: Bench):
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with Net(lambda provider: None, patience=QUICK) as net, fetched(bench.file, bench.goal, "web", net):
            inside.set()
            go_on.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(60)
    threading.Timer(0.2, go_on.set).start()
    bench.get(wait=True)
    thread.join()
    assert bench.goal.read_bytes() == bench.data


def test_waiting_for_another_can_be_cancelled(bench: Bench):
    job = Job("get")
    with Net(lambda provider: None, patience=QUICK) as net, fetched(bench.file, bench.goal, "web", net):
        threading.Timer(0.2, job.cancel).start()
        with pytest.raises(CancelledError):
            bench.get(job, wait=True)


def test_a_full_disk_is_noticed_before_anything_comes(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sinks, "RESERVE", 1 << 60)
    with pytest.raises(NoSpaceError, match="needs 300 kB more"):
        bench.get()
    assert bench.beside == []


def test_a_disk_that_fills_up_keeps_what_came(bare: Bench, monkeypatch: pytest.MonkeyPatch):
    bare.serve(some_bytes(3 * BLOCK))
    monkeypatch.setattr(sinks, "_STEP", 1 << 20)
    bare.world.fault("GET storage", faults.chunked())

    bare.when(1, lambda: monkeypatch.setattr(sinks, "RESERVE", 1 << 60))
    with pytest.raises(NoSpaceError, match="has no room to grow"):
        bare.get()
    monkeypatch.undo()
    there = bare.part.read_bytes()
    assert 0 < len(there) < 3 * BLOCK
    assert bare.data.startswith(there)


def test_a_limit_of_the_system_is_an_error_of_space(bench: Bench):
    """A process that may write 1 MB only: the operating system refuses, and what fitted is kept."""
    bench.serve(some_bytes(3_000_000))
    code = f"""
import resource, signal
from pathlib import Path
from modelhub.errors import NoSpaceError
from modelhub.fetch.download import fetched
from modelhub.fetch.net import Net
from modelhub.fetch.offer import RemoteFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
try:
    with fetched(RemoteFile({bench.file.name!r}, {bench.file.url!r}), Path({str(bench.goal)!r}), "web", Net()):
        pass
except NoSpaceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "larger than the file system or a limit allows" in done.stdout, done.stderr
    assert bench.part.stat().st_size == 1_500_000
    assert bench.get().resumed == 1_500_000
    assert bench.goal.read_bytes() == bench.data


def test_what_is_read_back_is_told(bench: Bench):
    bench.world.fault("GET storage", faults.drop(100_000), faults.status(404))
    with pytest.raises(NotFoundError):
        bench.get()
    bench.items.clear()
    bench.get()
    assert bench.items[0] == "model.safetensors: what is there already"
    assert (bench.counts[0], sum(bench.counts)) == (100_000, 300_000)


def test_pauses_are_told(bench: Bench):
    events: list[Event] = []
    bench.world.fault("GET storage", faults.drop(100_000))
    bench.get(Job("get", events.append))
    assert any("Going on at 100 kB" in event.item for event in events)


def test_giving_up_says_what_is_kept(bench: Bench):
    bench.world.fault("GET storage", faults.drop(100_000), faults.stall(0))
    bench.world.fault("GET storage", faults.drop(0, reset=False), times=None)
    bench.patience = replace(QUICK, read=0.2)
    with pytest.raises(UnreachableError) as caught:
        bench.get()
    assert "100 kB of it are kept" in caught.value.hint
    assert already(bench.file, bench.goal) == 100_000


def test_the_address_finds_the_part_where_no_hash_is_known(bare: Bench):
    bare.world.fault("GET storage", faults.drop(100_000), faults.status(404))
    with pytest.raises(NotFoundError):
        bare.get()
    assert already(bare.file, bare.goal) == 100_000
    other = replace(bare.file, url=bare.file.url + "x")
    assert already(other, bare.goal) == 0
    assert bare.get().resumed == 100_000


def test_the_name_of_a_part_is_short_whatever_the_goal_is_called(bench: Bench):
    bench.goal = bench.goal.with_name("ü" * 120 + ".safetensors")
    bench.get()
    assert bench.goal.read_bytes() == bench.data


def test_a_link_in_the_place_of_the_part_is_not_followed(bench: Bench, tmp_path: Path):
    (precious := tmp_path / "precious").write_bytes(b"mine")
    bench.get()
    bench.goal.unlink()
    with Net(lambda provider: None, patience=QUICK) as net, fetched(bench.file, bench.goal, "web", net) as found:
        name = found.part.name
    bench.goal.with_name(name).symlink_to(precious)
    with pytest.raises(FileError):
        bench.get()
    assert precious.read_bytes() == b"mine"


def test_curl_and_we_agree_on_the_rest_of_a_file(bench: Bench, tmp_path: Path):
    bench.world.fault("GET storage", faults.drop(123_456))
    found = bench.get()
    ours = hashlib.file_digest(bench.goal.open("rb"), "sha256").hexdigest()
    assert ours == found.hashes.sha256 == bench.sha256
    assert bench.ranges == [None, "bytes=123456-"]
    theirs = tmp_path / "theirs"
    theirs.write_bytes(bench.data[:123_456])
    subprocess.run(["curl", "-sSf", "-C", "-", "-o", theirs, bench.file.url], check=True, timeout=60)
    assert bench.ranges == [None, "bytes=123456-", "bytes=123456-"]
    assert theirs.read_bytes() == bench.goal.read_bytes()
