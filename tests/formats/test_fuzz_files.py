"""Files made at random: a report or an error in words, never another exception, never a trace; readers agree.

`scripts/fuzz` runs the same checks for as long as one likes.
"""

from __future__ import annotations

import pytest
from fuzz_changes import changes, check_changes, check_zip, zips
from fuzz_headers import check_gguf, check_safetensors, gguf_files, safetensors_files
from fuzz_opcodes import WATCH, check_opcodes, opcodes, record
from hypothesis import HealthCheck, given, settings

_quick = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(_quick, max_examples=1200)
@given(opcodes)
def test_pickles_of_random_opcodes(tmp_path, data):
    check_opcodes(data, tmp_path)


@settings(_quick, max_examples=600)
@given(changes)
def test_pickles_and_archives_with_changed_bytes(tmp_path, data):
    check_changes(data, tmp_path)


@settings(_quick, max_examples=800)
@given(zips)
def test_archives_with_changed_headers(tmp_path, data):
    check_zip(data, tmp_path)


@settings(_quick, max_examples=600)
@given(safetensors_files())
def test_safetensors_headers_are_read_as_the_library_reads_them(tmp_path, data):
    check_safetensors(data, tmp_path)


@settings(_quick, max_examples=500)
@given(gguf_files)
def test_changed_gguf_headers(tmp_path, data):
    check_gguf(data, tmp_path)


def test_the_oracle_hears_what_a_pickle_asks_for():
    assert record(b"cos\nmkdir\n(X\1\0\0\0mtR.") == ({("os", "mkdir")}, True)
    assert record(b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93.") == ({("os", "mkdir")}, True)
    assert record(b"(ios\nmkdir\n\xff") == ({("os", "mkdir")}, False)


@pytest.mark.parametrize(
    "what", ["import os; os.mkdir(folder + '/m')", "open(folder + '/x', 'w')", "eval('1')", "import wave"]
)
def test_the_watch_sees_what_happens(tmp_path, what):
    with pytest.raises(AssertionError), WATCH.over():
        exec(what, {"folder": str(tmp_path)})
