"""A file that is synced while it grows: what the disk said on the way is not lost."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from leftovers import no_thread_left

from modelhub.errors import NoSpaceError
from modelhub.formats import syncing
from modelhub.formats.views import Held
from modelhub.formats.writer import write


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "STEP", 1000)


def _source() -> Held:
    return Held({f"t{at}": ("U8", (50_000,), bytes([at]) * 50_000) for at in range(20)})


def _sync() -> str:
    return "fdatasync" if hasattr(os, "fdatasync") else "fsync"


def test_it_is_synced_beside_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real, threads = getattr(os, _sync()), []
    monkeypatch.setattr(os, _sync(), lambda file: (threads.append(threading.current_thread().name), real(file))[1])
    with no_thread_left():
        write(_source(), tmp_path / "a.safetensors", block=1000)
    assert "sync" in threads


def test_an_error_that_only_the_thread_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The disk is full, says the kernel once; what it says to the last fsync is that all is well."""
    real = getattr(os, _sync())

    def sync(file: int) -> None:
        if threading.current_thread().name == "sync":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    monkeypatch.setattr(os, _sync(), sync)
    with no_thread_left(), pytest.raises(NoSpaceError, match=r"a\.safetensors does not fit"):
        write(_source(), tmp_path / "a.safetensors", block=1000)
    assert list(tmp_path.iterdir()) == []


def test_what_failed_is_emptied_before_the_disk_has_to_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gate, sizes, real = threading.Event(), [], getattr(os, _sync())

    def sync(file: int) -> None:
        if threading.current_thread().name == "sync":
            gate.wait(60)
            sizes.append(os.fstat(file).st_size)
        real(file)

    class Failing(Held):
        def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
            if name == "t9":
                threading.Timer(1, gate.set).start()
                raise ZeroDivisionError
            super().read_into(name, offset, buffer)

    monkeypatch.setattr(os, _sync(), sync)
    source = Failing({f"t{at}": ("U8", (50_000,), bytes(50_000)) for at in range(10)})
    with pytest.raises(ZeroDivisionError):
        write(source, tmp_path / "a.safetensors", block=1000)
    assert sizes[0] == 0
    assert list(tmp_path.iterdir()) == []
