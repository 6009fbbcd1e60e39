"""Carrying out: what is written is the view, what is said of it is true, and no file that it is made of is written over."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from modelhub.catalog.becoming import Part, part
from modelhub.convert.conversion import Conversion, carry_out, check_goal
from modelhub.errors import CancelledError, CorruptFileError, FileExistsAlreadyError, UsageError, VanishedError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.views import Held
from modelhub.formats.watching import counted, stats_of, watched
from modelhub.jobs import QUIET, Job

DATA = struct.pack("<4f", 1, 2, 3, 4)


@pytest.fixture
def view() -> Held:
    return Held({"a": ("F32", (2, 2), DATA), "b": ("I64", (1,), b"\1" + bytes(7))})


def test_a_conversion_is_written_and_told(view, tmp_path):
    parts = [part("keep", "weights", "as they are", ["a"], view.header), Part("add", "b", "new", ("b",), 8)]
    conversion = Conversion(view, {}, parts, ["early"], afterwards=lambda: ["late"])
    report = carry_out(conversion, tmp_path / "x.safetensors", hashes=True)
    told = report.as_dict()
    assert told["warnings"] == ["early", "late"] and told["verified"] is True and told["damaged"] == []
    assert told["size"] == (tmp_path / "x.safetensors").stat().st_size and len(told["sha256"]) == 64
    assert told["parts"][0] == {
        "action": "keep", "what": "weights", "tensors": 1, "bytes": 16, "reason": "as they are",
    }  # fmt: skip
    with SafetensorsFile(tmp_path / "x.safetensors") as file:
        assert file.read_bytes("a") == DATA
    assert conversion.changes and not Conversion(view, {}, parts[:1]).changes


def test_no_origin_is_written_over(view, tmp_path):
    (origin := tmp_path / "a.safetensors").write_bytes(b"mine")
    (tmp_path / "link.safetensors").symlink_to(origin)
    (tmp_path / "hard.safetensors").hardlink_to(origin)
    conversion = Conversion(view, stats_of([origin]))
    for name in ("a", "link", "hard"):
        for force in (False, True):
            with pytest.raises(UsageError, match="one of the files that it is made of"):
                carry_out(conversion, tmp_path / f"{name}.safetensors", force=force)
    assert origin.read_bytes() == b"mine"


def test_another_file_is_replaced_with_force_only(view, tmp_path):
    (goal := tmp_path / "x.safetensors").write_bytes(b"mine")
    with pytest.raises(FileExistsAlreadyError):
        check_goal(Conversion(view), goal)
    carry_out(Conversion(view), goal, force=True)
    assert goal.stat().st_size == view.header.file_size


def test_a_job_is_watched(tmp_path):
    (file := tmp_path / "a").write_bytes(b"1")
    job = Job("convert")
    guarded = watched(job, stats_of([file]))
    guarded.check()
    file.write_bytes(b"22")
    with pytest.raises(CorruptFileError):
        guarded.check()
    file.unlink()
    with pytest.raises(VanishedError):
        guarded.check()
    job.cancel()
    assert guarded.cancelled
    with pytest.raises(CancelledError):
        guarded.check()
    assert watched(QUIET, {}) is QUIET


def test_a_counted_job_names_its_file():
    seen = []
    job = Job("convert", seen.append)
    with counted(job, 2, 3).phase("writing", 1, "bytes") as advance:
        advance(1, "x")
    assert {event.phase for event in seen} == {"writing 2 of 3"} and {event.job for event in seen} == {"convert"}


def test_stats_of_a_missing_file():
    with pytest.raises(VanishedError):
        stats_of([Path("/nowhere/at/all")])
