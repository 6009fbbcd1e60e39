"""Files that would run code: each is proven to do so where it is loaded the usual way, and none does anything here."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhub.errors import CorruptFileError, FileError, UnsafePickleError
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.pickles.legacy import MAGIC

STOP = b"."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def _call(module: str, name: str, *args: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + b"".join(args) + b"tR"


def _stack_global(module: bytes, name: bytes) -> bytes:
    return module + name + b"\x93"


#: Pickles that create a folder or file of the given name as Python loads them.
LIVE: dict[str, Callable[[str], bytes]] = {
    "GLOBAL and REDUCE": lambda m: _call("os", "mkdir", _text(m)),
    "the C module behind it": lambda m: _call("posix", "mkdir", _text(m)),
    "a built-in": lambda m: _call("builtins", "open", _text(m), _text("w")),
    "a built-in by its old name": lambda m: b"\x80\x02" + _call("__builtin__", "open", _text(m), _text("w")),
    "open of io": lambda m: _call("io", "open", _text(m), _text("w")),
    "open of codecs": lambda m: _call("codecs", "open", _text(m), _text("w")),
    "eval": lambda m: _call("builtins", "eval", _text(f"__import__('os').mkdir({m!r})")),
    "timeit": lambda m: _call("timeit", "timeit", _text("pass"), _text(f"import os; os.mkdir({m!r})")),
    "a profiler": lambda m: _call("cProfile", "run", _text(f"open({m!r}, 'w')"), _text(m)),
    "an archive": lambda m: _call("zipfile", "ZipFile", _text(m), _text("w")),
    "a database": lambda m: _call("sqlite3", "connect", _text(m)),
    "a log": lambda m: _call("logging", "FileHandler", _text(m)),
    "numpy's writer": lambda m: _call("numpy", "memmap", _text(m), _text("u1"), _text("w+"), b"K\0", b"K\4"),
    "a name that is looked up": lambda m: _call("pkgutil", "resolve_name", _text("os:mkdir")) + b"(" + _text(m) + b"tR",
    "getattr": lambda m: _call("builtins", "getattr", _call("importlib", "import_module", _text("os")), _text("mkdir"))
    + b"(" + _text(m) + b"tR",
    "partial": lambda m: _call("functools", "partial", b"cos\nmkdir\n", _text(m)) + b")R",
    "operator": lambda m: _call("operator", "methodcaller", _text("mkdir"), _text(m)) + b"(" + _call("importlib", "import_module", _text("os")) + b"tR",
    "a dotted name": lambda m: b"\x80\x04" + _stack_global(_short("collections"), _short("_sys.modules.get")) + b"(" + _text("os") + b"tR0" + _call("os", "mkdir", _text(m)),
    "a dotted name below torch": lambda m: b"\x80\x04" + _stack_global(_short("torch"), _short("serialization.os.mkdir")) + b"(" + _text(m) + b"tR",
    "STACK_GLOBAL": lambda m: b"\x80\x04" + _stack_global(_short("os"), _short("mkdir")) + b"(" + _text(m) + b"tR",
    "STACK_GLOBAL by old strings": lambda m: b"\x80\x04" + _stack_global(b"U\x02os", b"U\x05mkdir") + b"(" + _text(m) + b"tR",
    "STACK_GLOBAL from the memo": lambda m: b"\x80\x04" + _short("mkdir") + b"\x940" + _short("os") + b"\x94" + b"h\x002"
    b"00h\x01h\x00\x93(" + _text(m) + b"tR",
    "a memo that is written twice": lambda m: b"\x80\x04" + _short("OrderedDict") + b"q\x070" + _short("mkdir") + b"q\x070" + _short("os") + b"h\x07\x93(" + _text(m) + b"tR",
    "a decoy on the stack": lambda m: b"\x80\x04" + _short("os") + b"(" + _short("collections") + _short("OrderedDict") + b"1" + _short("mkdir") + b"\x93(" + _text(m) + b"tR",
    "a computed name": lambda m: b"\x80\x04" + _short("os") + _call("_codecs", "encode", _text("zxqve"), _text("rot13")) + b"\x93(" + _text(m) + b"tR",
    "INST": lambda m: b"(" + _text(m) + b"ios\nmkdir\n",
    "OBJ": lambda m: b"(cos\nmkdir\n" + _text(m) + b"o",
    "NEWOBJ": lambda m: b"cbuiltins\nbytes\n(cbuiltins\nmap\n(cos\nmkdir\n(" + _text(m) + b"tt\x81t\x81",
    "a dict made of a map": lambda m: b"ccollections\nOrderedDict\n(cbuiltins\nmap\n(cos\nmkdir\n(" + _text(m) + b"tt\x81tR",
    "BUILD": lambda m: _call("builtins", "type", _text("X"), b"(cbuiltins\nobject\nt", b"}" + _text("__setstate__") + b"cos\nmkdir\ns") + b")\x81" + _text(m) + b"b",
    "APPEND": lambda m: _call("types", "SimpleNamespace") + b"}" + _text("append") + b"cos\nmkdir\nsb" + _text(m) + b"a",
    "SETITEM on a live dict": lambda m: b"\x80\x04" + _stack_global(_short("sys"), _short("modules")) + _text("marker_x") + b"Ns0" + _call("os", "mkdir", _text(m)),
    "several protocols": lambda m: b"\x80\x02\x80\x04\x80\x00" + _call("os", "mkdir", _text(m)),
    "frames": lambda m: b"\x80\x04\x95" + struct.pack("<Q", 1) + b"N0" + _call("os", "mkdir", _text(m)),
    "protocol 0": lambda m: b"cos\nmkdir\n(S" + repr(m).encode() + b"\ntR",
    "escapes": lambda m: b"cos\nmkdir\n(V" + "".join(f"\\u{ord(c):04x}" for c in m).encode() + b"\ntR",
    "a pickle in bytes": lambda m: _call("pickle", "loads", b"C" + bytes([len(inner := _call("os", "mkdir", _text(m)) + STOP)]) + inner),
    "an old name for it": lambda m: b"\x80\x02" + _call("commands", "getoutput", _text(f"mkdir {m}")),
}  # fmt: skip
_FOR_PYTHON_3 = {"an archive", "a database", "a log"}


def _zip(path: Path, pickled: bytes, **more: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", pickled)
        for name, data in more.items():
            file.writestr(f"m/{name.replace('_', '.')}", data)


def _legacy(*parts: bytes) -> bytes:
    """The five pickles of a legacy file, some of them replaced."""
    usual = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}, {}, [])]
    return b"".join([*parts, *usual[len(parts) :]])


@pytest.mark.parametrize("name", LIVE)
def test_the_payloads_are_live(tmp_path, name, capfd):
    """What the other tests rely on: the usual loader runs them. They only make an empty folder or file."""
    marker = tmp_path / "marker"
    try:
        pickle.loads(LIVE[name](str(marker)) + STOP, fix_imports=True)
    except (TypeError, ValueError, AttributeError, ImportError, pickle.UnpicklingError):
        assert name not in _FOR_PYTHON_3
    finally:
        sys.modules.pop("marker_x", None)
    assert marker.exists()


@pytest.mark.parametrize("container", ["plain", "zip", "legacy", "torchscript", "nested", "repacked", "tar"])
@pytest.mark.parametrize("name", LIVE)
def test_no_payload_runs_and_all_are_refused(tmp_path, name, container):
    marker = tmp_path / "marker"
    pickled, path = LIVE[name](str(marker)) + STOP, tmp_path / "evil.ckpt"
    if container == "zip":
        _zip(path, pickled)
    elif container == "torchscript":
        _zip(path, pickled, constants_pkl=b"\x80\x02).", code_x=b"import os")
    elif container == "legacy":
        path.write_bytes(_legacy(*[pickle.dumps(v, 2) for v in (MAGIC, 1001, {})], pickled))
    elif container == "nested":
        inner = _legacy(*[pickle.dumps(v, 2) for v in (MAGIC, 1001, {})], pickled)
        path.write_bytes(
            _call("torch.storage", "_load_from_bytes", b"B" + struct.pack("<I", len(inner)) + inner) + STOP
        )
    elif container == "repacked":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("m/data.pkl", pickled)
    elif container == "tar":
        _tar(path, pickle=pickled)
    else:
        path.write_bytes(pickled)
    with pytest.raises(UnsafePickleError, match=r"evil\.ckpt would run code") as error:
        PickleFile(path)
    assert error.value.code == "unsafe-pickle"
    assert error.value.exit_code == 3
    assert "Nothing of it was run" in error.value.hint
    assert str(error.value).isprintable()
    with PickleFile(path, salvage=True) as file:
        assert file.dangers
        assert not file.header.tensors
    assert not marker.exists()


def _tar(path: Path, **parts: bytes) -> None:
    usual = {"sys_info": {}, "storages": 0, "tensors": 0, "pickle": {}}
    empty = {name: pickle.dumps(value, 2) for name, value in usual.items()}
    empty["storages"] += pickle.dumps([], 2)
    with tarfile.open(path, "w:") as tar:
        for name, data in (empty | parts).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("part", range(6))
def test_all_pickles_of_a_legacy_file_are_looked_at(tmp_path, part):
    marker = tmp_path / "marker"
    usual = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}, {}, [])]
    payload = LIVE["GLOBAL and REDUCE"](str(marker)) + STOP
    if part == 0:
        payload = _call("builtins", "eval", _text(f"[__import__('os').mkdir({str(marker)!r}), {MAGIC}][1]")) + STOP
    parts = [*usual[:part], payload, *usual[part + 1 :]]
    (tmp_path / "evil.pt").write_bytes(b"".join(parts))
    with pytest.raises(UnsafePickleError):
        PickleFile(tmp_path / "evil.pt")
    assert not marker.exists()


@pytest.mark.parametrize("part", [1, 2, 3, 4, 5])
def test_a_file_in_any_pickle_of_a_legacy_file_is_looked_at(tmp_path, part):
    """torch loads such a file on the way, whatever becomes of its value."""
    marker = tmp_path / "marker"
    usual = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}, {}, [])]
    inner = LIVE["GLOBAL and REDUCE"](str(marker)) + STOP
    inner = _call("torch.storage", "_load_from_bytes", b"B" + struct.pack("<I", len(inner)) + inner)
    rest = usual[part][2:] if part < 5 else b"N."
    (tmp_path / "evil.pt").write_bytes(b"".join([*usual[:part], b"\x80\x02" + inner + b"0" + rest, *usual[part + 1 :]]))
    with pytest.raises(UnsafePickleError, match=r"os\.mkdir"):
        PickleFile(tmp_path / "evil.pt")
    assert not marker.exists()


@pytest.mark.parametrize("part", ["sys_info", "storages", "tensors", "pickle"])
def test_all_pickles_of_a_tar_file_are_looked_at(tmp_path, part):
    marker = tmp_path / "marker"
    _tar(tmp_path / "evil.pth", **{part: LIVE["INST"](str(marker)) + STOP})
    with pytest.raises(UnsafePickleError):
        PickleFile(tmp_path / "evil.pth")
    assert not marker.exists()


@pytest.mark.parametrize(
    "end",
    [
        b"",
        b"\xff",
        b"X\xff\xff\xff\x7f",
        b"X\1\0\0\0\xff.",
        b"R",
        b"h\x77",
        b"\x80\x09",
        b"\x97",
        b"\x95" + b"\xff" * 8,
    ],
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_broken_end_does_not_hide_what_came_before(tmp_path, end, is_zip):
    marker, path = tmp_path / "marker", tmp_path / "evil.ckpt"
    pickled = b"\x80\x02" + LIVE["GLOBAL and REDUCE"](str(marker)) + end
    _zip(path, pickled) if is_zip else path.write_bytes(pickled)
    with pytest.raises(UnsafePickleError, match=r"os\.mkdir"):
        PickleFile(path)
    assert not marker.exists()


def test_a_pickle_behind_the_end_is_looked_at(tmp_path):
    _zip(tmp_path / "evil.ckpt", b"\x80\x02}." + LIVE["INST"](str(tmp_path / "marker")) + STOP)
    with pytest.raises(UnsafePickleError):
        PickleFile(tmp_path / "evil.ckpt")
    assert not (tmp_path / "marker").exists()


def test_other_pickles_in_an_archive_are_looked_at(tmp_path):
    for number, name in enumerate(("extra_pkl", "constants_pkl", "notes")):
        path = tmp_path / f"{number}.ckpt"
        _zip(path, b"\x80\x02}.", **{name: b"\x80\x02" + LIVE["INST"](str(tmp_path / "marker")) + STOP})
        with pytest.raises(UnsafePickleError):
            PickleFile(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("opcode", [b"\x82\x05", b"\x83\x05\x01", b"\x84\x05\0\0\0"])
def test_names_from_the_registry_of_extensions_are_refused(tmp_path, opcode):
    (tmp_path / "evil.pt").write_bytes(b"\x80\x02" + opcode + b"(" + _text("x") + b"tR.")
    with pytest.raises(UnsafePickleError, match="registered extensions"):
        PickleFile(tmp_path / "evil.pt")


@pytest.mark.parametrize("use", [b"", b")R", b")\x81", b")\x81}b", b"}" + _text("x") + b"Ns0"])
def test_a_class_that_is_named_is_not_even_imported(tmp_path, monkeypatch, use):
    """The top level of a module runs when it is imported: this one would leave a trace."""
    (tmp_path / "canary_of_modelhub.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'marker')!r})\nclass Key: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    _zip(tmp_path / "m.ckpt", b"\x80\x02}" + b"ccanary_of_modelhub\nKey\n" + use + b"Ns.")
    with PickleFile(tmp_path / "m.ckpt") as file:
        assert [(name.path, name.verdict) for name in file.globals] == [("canary_of_modelhub.Key", "unknown")]
        assert "canary_of_modelhub.Key" in file.findings[-1]
    assert "canary_of_modelhub" not in sys.modules
    assert not (tmp_path / "marker").exists()


def test_a_file_that_is_a_pickle_and_an_archive_is_refused(tmp_path, torch):
    """A scanner that trusts the end of the file sees the archive, torch loads the pickle."""
    path = tmp_path / "two.ckpt"
    torch.save({"weight": torch.ones(2)}, tmp_path / "good.ckpt")
    path.write_bytes(_legacy() + (tmp_path / "good.ckpt").read_bytes())
    with pytest.raises(UnsafePickleError, match="two files in one"):
        PickleFile(path)
    _tar(path)
    path.write_bytes(path.read_bytes() + (tmp_path / "good.ckpt").read_bytes())
    with pytest.raises(UnsafePickleError, match="two files in one"):
        PickleFile(path)


def test_what_is_in_a_file_cannot_disturb_the_terminal_or_the_message(tmp_path):
    name = _short("os") + _short("\x1b[2J\n\u202e" + "x" * 200)
    (tmp_path / "evil.pt").write_bytes(b"\x80\x04" + name + b"\x93(" + _text("\x1b]0;pwned\x07" * 50) + b"tR.")
    with pytest.raises(UnsafePickleError) as error:
        PickleFile(tmp_path / "evil.pt")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600 + len(str(tmp_path))
    assert "x1b[2J" in str(error.value)


def test_the_message_says_what_would_have_been_called(tmp_path):
    (tmp_path / "evil.pt").write_bytes(_call("os", "system", _text("rm -rf ~")) + STOP)
    with pytest.raises(UnsafePickleError, match=r"os\.system.*'rm -rf ~'"):
        PickleFile(tmp_path / "evil.pt")


def test_weights_beside_a_payload_can_be_salvaged(tmp_path, torch):
    class Evil:
        def __reduce__(self):
            return (__import__("os").mkdir, (str(tmp_path / "marker"),))

    torch.save({"weight": torch.ones(2), "evil": Evil()}, tmp_path / "evil.ckpt")
    with PickleFile(tmp_path / "evil.ckpt", salvage=True) as file:
        assert file.read_bytes("weight") == torch.ones(2).numpy().tobytes()
        assert {(name.path, name.verdict) for name in file.globals} >= {("posix.mkdir", "dangerous")}
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("storage", [b"cos\nmkdir\n", b"c__main__\nNet\n", b"K\1", _call("os", "getcwd")])
def test_a_storage_of_any_class_is_not_made(tmp_path, storage):
    pid = b"(" + _text("storage") + storage + _text("0") + _text("cpu") + b"K\1tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\0(K\1t(K\1t\x89NtR"
    _zip(tmp_path / "m.ckpt", b"\x80\x02}" + _text("t") + tensor + b"s.", data_0=b"1234")
    if b"os" in storage:
        with pytest.raises(UnsafePickleError):
            PickleFile(tmp_path / "m.ckpt")
    else:
        with PickleFile(tmp_path / "m.ckpt") as file:
            assert not file.header.tensors


def test_a_damaged_file_is_never_called_unsafe(tmp_path):
    for data in (
        b"\x80\x02}q\0(X\5\0\0\0ab",
        b"\x80\x02\xfe.",
        b"\x80\x02.",
        b"\x80\x02}}u.",
        b"\x80\x02K\1)R.",
        b"\x80\x02K\1K\2a.",
    ):
        (tmp_path / "x.ckpt").write_bytes(data)
        with pytest.raises(CorruptFileError):
            PickleFile(tmp_path / "x.ckpt")


def test_errors_are_errors_about_files():
    assert issubclass(UnsafePickleError, FileError)
