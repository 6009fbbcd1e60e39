"""Parts: a file under its temporary name is safe while its process lives, and goes when that is dead."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.formats import parts
from modelhub.formats.parts import growing, sweep
from modelhub.formats.views import Held
from modelhub.formats.writer import replacing, write

#: Writes a part beside argv[1], says so, and waits to be killed.
_WRITER = """
import sys, time
from pathlib import Path
from modelhub.formats.writer import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def _parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".part")


def test_what_a_killed_process_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(tmp_path: Path):
    goals = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(goal)], stdout=subprocess.PIPE) for goal in goals]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        assert len(_parts(tmp_path)) == 2 and sweep(tmp_path) == []
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait()
        assert len(_parts(tmp_path)) == 2
        write(Held({"t": ("U8", (3,), b"abc")}), tmp_path / "c.safetensors")
        (left,) = _parts(tmp_path)
        assert left.startswith(".b.") and (tmp_path / left).read_bytes() == b"half"
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    (gone,) = sweep(tmp_path)
    assert gone.name == left and [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_result_that_has_its_name_already_stays_when_its_part_goes(tmp_path: Path):
    """As of a process that was killed between giving it its name and taking the other away."""
    (tmp_path / "a.safetensors").write_bytes(b"whole")
    with growing(tmp_path / "a.safetensors") as (part, _):
        name = part.name
    os.link(tmp_path / "a.safetensors", tmp_path / name)
    assert [path.name for path in sweep(tmp_path)] == [name]
    assert (tmp_path / "a.safetensors").read_bytes() == b"whole"


def test_nothing_that_is_not_surely_ours_is_removed(tmp_path: Path):
    with growing(tmp_path / "a") as (part, _):
        ours = part.name
    mark = ours.split(".")[2][:7]
    others = [
        ".a.0123456789ab.part", f".a.{'x' * 6}-0123456789ab.part", f"a.{mark}0123.part", f".a.{mark}0123.tmp", "b.part",
    ]  # fmt: skip
    for name in others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "elsewhere").write_bytes(b"x")
    (tmp_path / ours).symlink_to(tmp_path / "elsewhere")
    assert sweep(tmp_path) == [] and (tmp_path / "elsewhere").exists() and (tmp_path / ours).is_symlink()
    assert sweep(tmp_path / "nowhere") == []


def test_a_part_is_locked_until_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file is closed before it is renamed, and must not be swept in between."""
    rename, swept = os.link, []

    def link(part: Path, goal: Path) -> None:
        swept.extend(sweep(tmp_path))
        rename(part, goal)

    monkeypatch.setattr(os, "link", link)
    with replacing(tmp_path / "a") as file:
        file.write(b"whole")
    assert swept == [] and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_part_that_was_swept_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lock, seen = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not seen:
            seen.extend(tmp_path.iterdir())
            seen[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with growing(tmp_path / "a") as (part, file):
        file.write(b"x")
        assert part not in seen and part.read_bytes() == b"x"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("can_lock", [True, False])
def test_where_nothing_can_be_locked_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_lock: bool):
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(parts, "_CAN_LOCK", can_lock)
    with growing(tmp_path / "a") as (part, file):
        file.write(b"x")
        assert sweep(tmp_path) == []
        monkeypatch.undo()
        assert sweep(tmp_path) == [], "not by a computer that can lock, either"
        assert part.read_bytes() == b"x" and len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
