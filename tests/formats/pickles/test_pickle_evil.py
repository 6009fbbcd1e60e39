"""Files that would run code: each is proven to do so where it is loaded the usual way, and none does anything here."""

from __future__ import annotations

import pickle
import struct
import sys

import pytest
from pickle_attacks import CONTAINERS, LIVE, MAGIC, STOP, call, legacy, short, tar_with, text, zip_with

from modelhub.errors import CorruptFileError, FileError, UnsafePickleError
from modelhub.formats.pickles.file import PickleFile

_FOR_PYTHON_3 = {"an archive", "a database", "a log"}


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


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", LIVE)
def test_no_payload_runs_and_all_are_refused(tmp_path, name, container):
    marker = tmp_path / "marker"
    pickled, path = LIVE[name](str(marker)) + STOP, tmp_path / "evil.ckpt"
    path.write_bytes(CONTAINERS[container](pickled))
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


@pytest.mark.parametrize("part", range(6))
def test_all_pickles_of_a_legacy_file_are_looked_at(tmp_path, part):
    marker = tmp_path / "marker"
    usual = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}, {}, [])]
    payload = LIVE["GLOBAL and REDUCE"](str(marker)) + STOP
    if part == 0:
        payload = call("builtins", "eval", text(f"[__import__('os').mkdir({str(marker)!r}), {MAGIC}][1]")) + STOP
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
    inner = call("torch.storage", "_load_from_bytes", b"B" + struct.pack("<I", len(inner)) + inner)
    rest = usual[part][2:] if part < 5 else b"N."
    (tmp_path / "evil.pt").write_bytes(b"".join([*usual[:part], b"\x80\x02" + inner + b"0" + rest, *usual[part + 1 :]]))
    with pytest.raises(UnsafePickleError, match=r"os\.mkdir"):
        PickleFile(tmp_path / "evil.pt")
    assert not marker.exists()


@pytest.mark.parametrize("part", ["sys_info", "storages", "tensors", "pickle"])
def test_all_pickles_of_a_tar_file_are_looked_at(tmp_path, part):
    marker = tmp_path / "marker"
    (tmp_path / "evil.pth").write_bytes(tar_with(**{part: LIVE["INST"](str(marker)) + STOP}))
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
    path.write_bytes(zip_with(pickled) if is_zip else pickled)
    with pytest.raises(UnsafePickleError, match=r"os\.mkdir"):
        PickleFile(path)
    assert not marker.exists()


def test_a_pickle_behind_the_end_is_looked_at(tmp_path):
    (tmp_path / "evil.ckpt").write_bytes(zip_with(b"\x80\x02}." + LIVE["INST"](str(tmp_path / "marker")) + STOP))
    with pytest.raises(UnsafePickleError):
        PickleFile(tmp_path / "evil.ckpt")
    assert not (tmp_path / "marker").exists()


def test_other_pickles_in_an_archive_are_looked_at(tmp_path):
    for number, name in enumerate(("extra_pkl", "constants_pkl", "notes")):
        path = tmp_path / f"{number}.ckpt"
        path.write_bytes(zip_with(b"\x80\x02}.", **{name: b"\x80\x02" + LIVE["INST"](str(tmp_path / "marker")) + STOP}))
        with pytest.raises(UnsafePickleError):
            PickleFile(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("opcode", [b"\x82\x05", b"\x83\x05\x01", b"\x84\x05\0\0\0"])
def test_names_from_the_registry_of_extensions_are_refused(tmp_path, opcode):
    (tmp_path / "evil.pt").write_bytes(b"\x80\x02" + opcode + b"(" + text("x") + b"tR.")
    with pytest.raises(UnsafePickleError, match="registered extensions"):
        PickleFile(tmp_path / "evil.pt")


@pytest.mark.parametrize("use", [b"", b")R", b")\x81", b")\x81}b", b"}" + text("x") + b"Ns0"])
def test_a_class_that_is_named_is_not_even_imported(tmp_path, monkeypatch, use):
    """The top level of a module runs when it is imported: this one would leave a trace."""
    (tmp_path / "canary_of_modelhub.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'marker')!r})\nclass Key: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "m.ckpt").write_bytes(zip_with(b"\x80\x02}" + b"ccanary_of_modelhub\nKey\n" + use + b"Ns."))
    with PickleFile(tmp_path / "m.ckpt") as file:
        assert [(name.path, name.verdict) for name in file.globals] == [("canary_of_modelhub.Key", "unknown")]
        assert "canary_of_modelhub.Key" in file.findings[-1]
    assert "canary_of_modelhub" not in sys.modules
    assert not (tmp_path / "marker").exists()


def test_a_file_that_is_a_pickle_and_an_archive_is_refused(tmp_path, torch):
    """A scanner that trusts the end of the file sees the archive, torch loads the pickle."""
    path = tmp_path / "two.ckpt"
    torch.save({"weight": torch.ones(2)}, tmp_path / "good.ckpt")
    path.write_bytes(legacy() + (tmp_path / "good.ckpt").read_bytes())
    with pytest.raises(UnsafePickleError, match="two files in one"):
        PickleFile(path)
    path.write_bytes(tar_with())
    path.write_bytes(path.read_bytes() + (tmp_path / "good.ckpt").read_bytes())
    with pytest.raises(UnsafePickleError, match="two files in one"):
        PickleFile(path)


def test_what_is_in_a_file_cannot_disturb_the_terminal_or_the_message(tmp_path):
    name = short("os") + short("\x1b[2J\n\u202e" + "x" * 200)
    (tmp_path / "evil.pt").write_bytes(b"\x80\x04" + name + b"\x93(" + text("\x1b]0;pwned\x07" * 50) + b"tR.")
    with pytest.raises(UnsafePickleError) as error:
        PickleFile(tmp_path / "evil.pt")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600 + len(str(tmp_path))
    assert "x1b[2J" in str(error.value)


def test_the_message_says_what_would_have_been_called(tmp_path):
    (tmp_path / "evil.pt").write_bytes(call("os", "system", text("rm -rf ~")) + STOP)
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


@pytest.mark.parametrize("storage", [b"cos\nmkdir\n", b"c__main__\nNet\n", b"K\1", call("os", "getcwd")])
def test_a_storage_of_any_class_is_not_made(tmp_path, storage):
    pid = b"(" + text("storage") + storage + text("0") + text("cpu") + b"K\1tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\0(K\1t(K\1t\x89NtR"
    (tmp_path / "m.ckpt").write_bytes(zip_with(b"\x80\x02}" + text("t") + tensor + b"s.", data__0=b"1234"))
    if b"os" in storage:
        with pytest.raises(UnsafePickleError):
            PickleFile(tmp_path / "m.ckpt")
    else:
        with PickleFile(tmp_path / "m.ckpt") as file:
            assert not file.header.tensors


@pytest.mark.parametrize(
    "pid",
    [
        b"P../../etc/passwd\n", text("0") + b"Q", b"(" + text("module") + b"c__main__\nNet\n" + text("x.py") + text("import os") + b"tQ",
        b"(" + text("storage") + b"tQ", b"K\7Q", b"NQ", b"}Q", b"(" + text("storage") + b"ctorch\nFloatStorage\n)tQ",
    ],
)  # fmt: skip
def test_ids_that_stand_for_no_storage_are_nothing(tmp_path, pid):
    (tmp_path / "m.ckpt").write_bytes(zip_with(b"\x80\x02}" + text("x") + pid + b"s.", version=b"3"))
    with PickleFile(tmp_path / "m.ckpt") as file:
        assert not file.header.tensors
        assert not file.dangers


@pytest.mark.parametrize("change", [b"K\1K\2s", b"(K\1K\2u", b"K\1a", b"(K\1e", b"(K\1\x90", b"}K\1K\2sb"])
@pytest.mark.parametrize("target", [b"K\5", b"N", b")", b"\x88", text("x"), b"C\2ab", b"G" + bytes(8)])
def test_what_cannot_be_changed_is_not_changed(tmp_path, target, change):
    """CVE-2026-24747 was an unpickler that did not look at what it changed."""
    (tmp_path / "m.ckpt").write_bytes(zip_with(b"\x80\x04" + target + change + b".", version=b"3"))
    with pytest.raises(CorruptFileError):
        PickleFile(tmp_path / "m.ckpt")


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
