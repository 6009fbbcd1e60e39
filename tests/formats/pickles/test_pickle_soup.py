"""Whatever bytes come: an error in words or a header, never another exception, and nothing happens."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelhub.errors import ModelhubError
from modelhub.formats.handle import Handle
from modelhub.formats.pickles.examine import examine
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.pickles.opcodes import run
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.values import Made, Table

_NAMES = [
    b"cos\nmkdir\n",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nFloatStorage\n",
    b"cx\ny\n",
]
_TEXTS = [
    b"X\7\0\0\0storage",
    b"X\1\0\0\x000",
    b"\x8c\x02os",
    b"U\x02ab",
    b"S'x'\n",
    b"C\x02ab",
    b"X\x0b\0\0\0_parameters",
]
_NUMBERS = [b"K\0", b"K\1", b"J\xff\xff\xff\xff", b"\x8a\1\5", b"I01\n", b"G" + b"\0" * 8, b"N", b"\x88"]
_SHAPES = [
    b"(",
    b")",
    b"]",
    b"}",
    b"t",
    b"l",
    b"d",
    b"\x85",
    b"\x86",
    b"\x87",
    b"a",
    b"e",
    b"s",
    b"u",
    b"\x8f",
    b"\x90",
    b"\x91",
]
_CALLS = [b"R", b"\x81", b"\x92", b"o", b"icollections\nx\n", b"b", b"Q", b"Px\n", b"\x93", b"\x82\1"]
_MOVES = [b"0", b"1", b"2", b"q\0", b"h\0", b"q\1", b"h\1", b"\x94", b"p5\n", b"g5\n", b"\x80\4", b"."]
_pieces = st.sampled_from(_NAMES + _TEXTS + _NUMBERS + _SHAPES + _CALLS + _MOVES) | st.binary(max_size=3)

_quick = settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _read(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for salvage in (False, True):
        try:
            with PickleFile(path, salvage=salvage) as file:
                assert salvage or not file.dangers
                for name in file.header.tensors:
                    file.read_bytes(name)
        except ModelhubError as error:
            assert path.name in error.message


@pytest.fixture
def quiet_folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder, in which anything that ran would leave its traces."""
    (tmp_path / "quiet").mkdir()
    monkeypatch.chdir(tmp_path / "quiet")
    return tmp_path / "quiet"


@_quick
@given(st.lists(_pieces, max_size=40).map(b"".join))
@example(b"\x80\x02.")
@example(b"(((((.")
@example(b"0.")
@example(b"1.")
def test_soup_of_opcodes(tmp_path, quiet_folder, data):
    _read(tmp_path / "soup.pt", data)
    assert list(quiet_folder.iterdir()) == []


@pytest.fixture(scope="module")
def wholes(torch) -> list[bytes]:
    state = {"state_dict": {"a": torch.ones(2, 3).t(), "b": torch.zeros(1).half()}, "epoch": 1}
    found = []
    for options in ({}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}):
        torch.save(state, buffer := io.BytesIO(), **options)
        found.append(buffer.getvalue())
    return [*found, pickle.dumps(state, 0), pickle.dumps(state, 5)]


@_quick
@given(st.integers(0, 4), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes(tmp_path, wholes, which, changes):
    data = bytearray(wholes[which])
    for at, value in changes:
        data[at % len(data)] = value
    _read(tmp_path / "changed.pt", bytes(data))


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def _plain(value: object) -> object:
    """What the machine made, as Python's own values."""
    if type(value) is Table:
        flat = value.pairs or []
        return {_plain(key): _plain(item) for key, item in zip(flat[::2], flat[1::2], strict=True)}
    if type(value) is Made and value.path == "_codecs.encode":
        return value.args[0].encode("latin-1")
    if type(value) is Made and value.path == "builtins.bytes":
        return b""
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


@_quick
@given(_values, st.integers(0, 5), st.booleans())
def test_the_machine_agrees_with_the_unpickler_of_python(tmp_path, value, protocol, shortened):
    data = pickle.dumps(value, protocol)
    (tmp_path / "value.pkl").write_bytes(pickletools.optimize(data) if shortened else data)
    with Handle(tmp_path / "value.pkl") as handle:
        found, machine = run(Span(handle, 0, handle.size), Survey(tmp_path, handle.size))
    assert _plain(found) == value
    assert machine.end == handle.size


@pytest.mark.parametrize(
    "data",
    [b"I0x10\n.", b"I1_000\n.", b"I 7 \n.", b"L0x10L\n.", b"L5\n.", b"\x8b\3\0\0\0\1\2\3.", b"](K\1K\2K\3eK\0K\7s.", b"](K\1K\2eJ\xff\xff\xff\xffK\7s.",
     b"](K\1e\x89K\7s0K\1.", b"K\1(u.", b")(e.", b"N(\x90.", b"K\1Nb.", b"]N}\x86b.", b"\x80\4\x95\1\0\0\0\0\0\0\0N.",
     b"N(0.", b"K\1(K\2K\3" + b"10" + b"K\4.", b"F10.5\n.", b"C\2ab\x98.", b"S'a\\x41'\n.", b"V\\u0041\n.", b"K\1p 0 \ng0\n."],
)  # fmt: skip
def test_what_python_accepts_is_accepted_with_the_same_value(tmp_path, data):
    expected = pickle.loads(data, encoding="bytes")
    (tmp_path / "value.pkl").write_bytes(data)
    with Handle(tmp_path / "value.pkl") as handle:
        assert _plain(run(Span(handle, 0, handle.size), Survey(tmp_path, handle.size))[0]) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"I" + b"9" * 70 + b"\n",
        b"L" + b"9" * 3000 + b"L\n",
        b"\x8b\0\x20\0\0" + b"\1" * 8192,
        b"F" + b"1" * 2000 + b"\n",
    ],
)
def test_numbers_beyond_all_measure_do_not_end_the_reading(tmp_path, data):
    """An unpickler reads on behind them, and so must who looks for dangers."""
    (tmp_path / "evil.pt").write_bytes(b"\x80\x02" + data + b"0cos\nmkdir\n(X\1\0\0\0mtR.")
    found = examine(tmp_path / "evil.pt")
    assert "os.mkdir" in found.dangers[0]
    assert found.error is None


def test_every_opcode_of_python_is_known():
    from modelhub.formats.pickles import opcodes

    for opcode in pickletools.opcodes:
        is_buffer = opcode.name == "NEXT_BUFFER"  # it stands outside, where torch puts nothing
        assert (opcodes._OPCODES[ord(opcode.code)] is opcodes._unknown) is is_buffer, opcode.name
