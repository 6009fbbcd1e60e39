"""Hostile headers of many megabytes: refused or read in little memory and time, each in a process of its own."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from modelhub.formats.safetensors import MAX_HEADER

ROOT = Path(__file__).resolve().parent.parent.parent

MEGABYTES = 200
SECONDS = 20

#: The kernel's high-water mark of this process alone; ru_maxrss would count the test runner it was forked from.
_CHILD = """
import sys, time
from modelhub.errors import ModelhubError
from modelhub.formats.safetensors import read_header
begun = time.thread_time()
try:
    result = len(read_header(sys.argv[1]).tensors)
except ModelhubError as error:
    result = type(error).__name__
seconds = time.thread_time() - begun
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(result, seconds, int(peak) * 1024)
"""


def _bomb(text: bytes) -> bytes:
    """`text` as a header of exactly the largest size: blanks behind it are valid JSON."""
    return text.ljust(MAX_HEADER)[:MAX_HEADER]


def _list(item: bytes, count: int) -> bytes:
    return _bomb(b'{"a":[' + b",".join([item] * count) + b"]}")


def _table(values: Iterable[bytes], front: str = "", around: tuple[bytes, bytes] = (b"{", b"}")) -> bytes:
    pairs = (b'"%s%x":%s' % (front.encode(), number, value) for number, value in enumerate(values))
    return _bomb(around[0] + b",".join(pairs) + around[1])


def _text(front: str, unit: bytes, around: tuple[bytes, bytes] = (b'{"a":"', b'"}')) -> bytes:
    head = around[0] + front.encode()
    return _bomb(head + unit * ((MAX_HEADER - len(head) - len(around[1])) // len(unit)) + around[1])


ENTRY = b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
META = (b'{"__metadata__":{', b"}}")
META_TEXT = (b'{"__metadata__":{"a":"', b'"}}')
EMOJI = "\U0001f600"

#: The shapes that cost most, at the sizes just below the limits and far above them.
BOMBS = {
    "lists in lists": lambda: _bomb(b'{"a":' + b"[" * MAX_HEADER),
    "lists in lists, few": lambda: _bomb(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "objects in objects": lambda: _bomb(b'{"a":' * (MAX_HEADER // 5)),
    "objects in objects, few": lambda: _bomb(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "empty objects": lambda: _list(b"{}", 5_000_000),
    "empty objects, few": lambda: _list(b"{}", 109_000),
    "small objects": lambda: _list(b'{"b":1}', 109_000),
    "lists": lambda: _list(b"[1]", 219_000),
    "strings": lambda: _list(b'"abc"', 2_500_000),
    "strings, fewer": lambda: _list(b'"abcdefghijklmnop"', 549_000),
    "numbers": lambda: _list(b"12345", 2_500_000),
    "floats": lambda: _list(b"1e5", 899_000),
    "keys": lambda: _table([b"1"] * 1_000_000),
    "keys, fewer": lambda: _table([b"1e5"] * 449_000),
    "wide keys": lambda: _table([b"1e5"] * 224_000, EMOJI),
    "keys wide by escape": lambda: _table([b"1e5"] * 224_000, "\\ud83d\\ude00"),
    "keys with lists": lambda: _table([b"[1e5,2e5,3e5]"] * 219_000),
    "keys with objects": lambda: _table([b'{"b":[1e5,2e5]}'] * 109_000),
    "metadata": lambda: _table([b'"x"'] * 270_000, "", META),
    "wide metadata": lambda: _table([f'"{EMOJI}"'.encode()] * 137_000, EMOJI, META),
    "tensors": lambda: _table([ENTRY] * 100_000),
    "too many tensors": lambda: _table([ENTRY] * 250_000),
    "the last of 400000 keys twice": lambda: _bomb(_table([b"1"] * 400_000).rstrip()[:-1] + b',"61a7f":1}'),
    "one string": lambda: _text("", b"x"),
    "one wide string": lambda: _text(EMOJI, b"x"),
    "one string wide by escape": lambda: _text("\\ud83d\\ude00", b"x"),
    "one string of escapes": lambda: _text("", b"\\n"),
    "one wide string of escapes": lambda: _text(EMOJI, b"\\n"),
    "one wide name": lambda: _text(EMOJI, b"x", (b'{"', b'":1}')),
    "one wide metadata text": lambda: _text(EMOJI, b"x", META_TEXT),
    "one wide metadata text of escapes": lambda: _text(EMOJI, b"\\n", META_TEXT),
    "one metadata text that ends wide": lambda: _text("", b"x", (META_TEXT[0], f'{EMOJI}"}}}}'.encode())),
    "one number": lambda: _bomb(b'{"a":' + b"9" * (MAX_HEADER - 6) + b"}"),
    "one fraction": lambda: _bomb(b'{"a":0.' + b"9" * (MAX_HEADER - 8) + b"}"),
    "long numbers": lambda: _list(b"9" * 4300, 3700),
    "one huge shape": lambda: _bomb(b'{"a":{"dtype":"U8","data_offsets":[0,0],"shape":[' + b"9," * 890_000 + b"0]}}"),
    "blanks": lambda: _bomb(b"{" + b" " * (MAX_HEADER - 2) + b"}"),
    "not UTF-8": lambda: _text("", b"\xff"),
}


def _read(path: Path) -> tuple[str, float, int]:
    """What came of reading `path` in a fresh process, its seconds and its peak memory in bytes."""
    command = [sys.executable, "-c", _CHILD, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS * 6)
    assert done.returncode == 0, done.stderr[-2000:]
    result, seconds, peak = done.stdout.split()
    return result, float(seconds), int(peak)


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


@needs_proc
@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_does_no_harm(tmp_path: Path, what: str):
    text = BOMBS[what]()
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    result, seconds, peak = _read(path)
    assert result == "CorruptFileError" or int(result) in (0, 100_000)
    assert peak < MEGABYTES * 1_000_000
    assert seconds < SECONDS


@needs_proc
@pytest.mark.parametrize("size", [MAX_HEADER + 1, 50_000_000, 100_000_000])
def test_a_larger_header_is_not_even_read(tmp_path: Path, size: int):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", size) + b"{")
    os.truncate(path, size + 8)
    result, seconds, peak = _read(path)
    assert result == "CorruptFileError"
    assert peak < 60_000_000
    assert seconds < 2


@needs_proc
def test_the_largest_header_that_is_allowed_is_read(tmp_path: Path):
    text = _table([ENTRY] * 100_000)
    path = tmp_path / "many.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    assert _read(path)[0] == "100000"
