"""Every container that torch has ever written: what it reads from our own files is what we read, byte for byte."""

from __future__ import annotations

import io
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from modelhub.errors import CorruptFileError, FileError, NoSpaceError, NotAModelError
from modelhub.formats.pickles.file import PickleFile, read_pickle_header
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.sniff import sniff

DEMO = Path(__file__).resolve().parents[3] / "catalog" / "demo"


@pytest.fixture
def state(torch):
    generator = torch.Generator().manual_seed(1)
    weights = {f"layers.{n}.weight": torch.randn(n + 1, 3, 5, generator=generator) for n in range(6)}
    return weights | {
        "half": torch.randn(7, generator=generator).half(),
        "ints": torch.arange(9),
        "one": torch.tensor(2.5),
    }


@pytest.fixture
def saved(torch, tmp_path, state):
    def save(name: str = "model.ckpt", value: object = None, **options) -> Path:
        torch.save(state if value is None else value, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_zip_and_legacy_files_of_every_protocol(saved, state, check_file, protocol, is_zip):
    path = saved(pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    file = check_file(path, state)
    assert file.header.metadata["pickle.container"] == ("zip" if is_zip else "legacy")
    assert file.header.metadata["pickle.root"] == ""
    assert {name.verdict for name in file.globals} == {"tensor"}
    assert file.findings == file.dangers == ()
    assert sniff(path) == "pickle"


def test_storages_that_protocol_0_turned_into_words_are_left_out(saved):
    """torch writes such files and cannot read them itself."""
    with PickleFile(saved(pickle_protocol=0)) as file:
        assert not file.header.tensors
        assert len(file.findings) == 9


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_plain_pickle_of_tensors_holds_a_legacy_file_for_each_of_them(tmp_path, state, check_file, protocol):
    path = tmp_path / "plain.pt"
    path.write_bytes(pickle.dumps(state, protocol))
    assert check_file(path, state).header.metadata["pickle.container"] == "plain"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_plain_pickle_of_numpy_arrays(tmp_path, protocol, order):
    arrays = {
        "a": np.arange(24, dtype=f"{order}f4").reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6, dtype=f"{order}i2").reshape(2, 3)),
        "large": np.arange(90_000, dtype=f"{order}f8"),
        "empty": np.zeros((0, 3), dtype=f"{order}f2"),
        "flags": np.array([True, False]),
        "complex": np.array([1 + 2j, 3 - 4j], dtype=f"{order}c8"),
    }
    path = tmp_path / "arrays.pth"
    path.write_bytes(pickle.dumps(arrays, protocol))
    with PickleFile(path) as file:
        assert file.header.shapes == {name: array.shape for name, array in sorted(arrays.items())} | {}
        for name, array in arrays.items():
            little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
            assert file.read_bytes(name) == little.tobytes(), name


def test_numpy_arrays_of_texts_and_objects_are_left_out_by_name(tmp_path):
    path = tmp_path / "arrays.pth"
    path.write_bytes(pickle.dumps({"w": np.zeros(3), "words": np.array(["a"]), "things": np.array([None, 1], object)}))
    with PickleFile(path) as file:
        assert list(file.header.tensors) == ["w"]
        assert [finding.split("'")[1] for finding in file.findings] == ["words", "things"]


def test_torchscript_is_read_without_its_code(torch, tmp_path, check_file):
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3))
    )
    torch.jit.save(torch.jit.script(module), tmp_path / "script.pt")
    file = check_file(tmp_path / "script.pt", module.state_dict())
    assert file.header.metadata["pickle.container"] == "torchscript"
    assert any("code" in finding for finding in file.findings)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_that_users_packed_again(saved, state, check_file, tmp_path, compression):
    with zipfile.ZipFile(saved()) as old, zipfile.ZipFile(tmp_path / "new.ckpt", "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("model/notes/", "")
        new.comment = b"packed again"
    check_file(tmp_path / "new.ckpt", state)


def test_packed_entries_are_read_from_several_threads(torch, saved, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    tensor = torch.arange(400_000, dtype=torch.float32)
    with zipfile.ZipFile(saved(value={"t": tensor})) as old, zipfile.ZipFile(tmp_path / "n.ckpt", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with PickleFile(tmp_path / "n.ckpt") as file, ThreadPoolExecutor(8) as pool:
        found = set(pool.map(file.read_bytes, ["t"] * 32))
    assert found == {tensor.numpy().tobytes()}


def test_no_room_to_unpack_is_seen_before_the_disk_is_full(torch, saved, tmp_path, monkeypatch):
    path = saved(value={"t": torch.randn(300_000)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "n.ckpt", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_199_999))
    with PickleFile(tmp_path / "n.ckpt") as file, pytest.raises(NoSpaceError) as refused:
        file.read_bytes("t")
    assert "n.ckpt is packed" in refused.value.message and "TMPDIR" in refused.value.hint
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_200_000))
    with PickleFile(tmp_path / "n.ckpt") as file:
        assert len(file.read_bytes("t")) == 1_200_000


def test_zip64_archives(saved, state, check_file, tmp_path):
    """Every size, place and count moved into the 64-bit fields, as archives of more than 4 GB have them."""
    with zipfile.ZipFile(saved()) as old, (tmp_path / "large.ckpt").open("wb") as file:
        directory = b""
        for name in old.namelist():
            data, raw, at = old.read(name), name.encode(), file.tell()
            crc = zlib.crc32(data)
            extra = struct.pack("<2H2Q", 1, 16, len(data), len(data))
            file.write(
                struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, crc, 2**32 - 1, 2**32 - 1, len(raw), 20)
                + raw
                + extra
                + data
            )
            extra = struct.pack("<2H3Q", 1, 24, len(data), len(data), at)
            full = 2**32 - 1
            directory += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, crc, full, full, len(raw), 28, 0, 0, 0, 0, full
            )
            directory += raw + extra
        begin, count = file.tell(), len(old.namelist())
        file.write(directory)
        end = file.tell()
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), begin))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0))
    assert zipfile.ZipFile(tmp_path / "large.ckpt").testzip() is None
    check_file(tmp_path / "large.ckpt", state)


def test_big_endian_archives_are_turned_round(torch, tmp_path, state, check_file):
    state = state | {"complex": torch.tensor([1 + 2j, 3j]), "eights": torch.arange(5, dtype=torch.uint8)}
    torch.save(state, tmp_path / "little.pt")
    widths = {key: 4 if value.is_complex() else value.element_size() for key, value in enumerate(state.values())}
    with zipfile.ZipFile(tmp_path / "little.pt") as old, zipfile.ZipFile(tmp_path / "big.pt", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if "/data/" in name:
                width = widths[int(name.rpartition("/")[2])]
                data = np.frombuffer(data, f"V{width}").view(np.uint8).reshape(-1, width)[:, ::-1].tobytes()
            new.writestr(name, b"big" if name.endswith("byteorder") else data)
    check_file(tmp_path / "big.pt", state)


def _tar(path: Path, torch, tensors: dict) -> dict:
    """A file as torch 0.1.9 wrote them: storage 1 of floats, a view of it, storage 9 of ints; tensors on all of them."""
    floats, ints = torch.arange(20, dtype=torch.float32), torch.arange(6, dtype=torch.int64)
    storages = pickle.dumps(2, 2)
    for key, data, kind in ((1, floats, torch.FloatStorage), (9, ints, torch.LongStorage)):
        storages += pickle.dumps((key, "cpu", kind), 2) + struct.pack("<q", data.numel()) + data.numpy().tobytes()
    storages += pickle.dumps([(2, 1, 4, 12)], 2)
    shapes = {100: (2, 0, (3, 4), (4, 1)), 101: (2, 1, (4, 2), (1, 4)), 102: (9, 2, (4,), (1,)), 103: (1, 19, (), ())}
    described = pickle.dumps(len(shapes), 2)
    for key, (storage, offset, shape, stride) in shapes.items():
        described += pickle.dumps((key, storage, torch.FloatTensor), 2) + struct.pack("<ii", len(shape), 0)
        described += struct.pack(f"<{2 * len(shape) + 1}q", *shape, *stride, offset)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value[1:] if isinstance(value, str) and value[0] == "#" else None

    body = io.BytesIO()
    Pickler(body, 2).dump({name: f"#{key}" for name, key in tensors.items()})
    parts = {"sys_info": pickle.dumps({"protocol_version": 1000}, 2), "storages": storages, "tensors": described}
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, data in {**parts, "pickle": body.getvalue()}.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1.5
            tar.addfile(info, io.BytesIO(data))
    bases = {1: floats, 2: floats[4:16], 9: ints}
    return {
        n: bases[shapes[k][0]].as_strided(
            shapes[k][2], shapes[k][3], bases[shapes[k][0]].storage_offset() + shapes[k][1]
        )
        for n, k in tensors.items()
    }


def test_tar_files(torch, tmp_path, check_file):
    expected = _tar(tmp_path / "old.pth", torch, {"a": 100, "turned": 101, "ints": 102, "one": 103})
    loaded = torch.load(tmp_path / "old.pth", weights_only=False)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    assert check_file(tmp_path / "old.pth", loaded).header.metadata["pickle.container"] == "tar"


def test_classes_that_legacy_files_keep_outside(torch, tmp_path, check_file):
    """torch stores the source of a whole module beside its class."""
    module = torch.nn.Linear(3, 2)
    torch.save(module, tmp_path / "whole.pth", _use_new_zipfile_serialization=False)
    assert b"module" in (tmp_path / "whole.pth").read_bytes()
    file = check_file(tmp_path / "whole.pth", module.state_dict())
    assert ("torch.nn.modules.linear", "Linear") in {(name.module, name.name) for name in file.globals}


@pytest.mark.parametrize("name", ["sundisc.pt", "tiny-esrgan-x4-oldarch.pth", "tiny-realesrgan-x4.pth"])
def test_the_files_of_the_demo(torch, check_file, name):
    loaded = torch.load(DEMO / name, weights_only=True)
    if "string_to_param" in loaded:
        loaded = {"string_to_param.*": loaded["string_to_param"]["*"]}
    check_file(DEMO / name, loaded.get("params_ema", loaded))


def test_an_embedding_has_the_same_data_in_both_formats():
    with PickleFile(DEMO / "sundisc.pt") as pickled, SafetensorsFile(DEMO / "sundisc.safetensors") as safe:
        assert pickled.read_bytes("string_to_param.*") == safe.read_bytes("emb_params")
        assert pickled.header.metadata["pickle.sd_checkpoint_name"] == "tiny-shapes-base"
        assert pickled.header.metadata["pickle.step"] == "400"


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"hello world, this is a text\n", b"<!DOCTYPE html><html></html>", b"version https://git-lfs\n" * 9,
     b"\0" * 4096, b"GGUF\3\0\0\0" + b"\0" * 64, b"call\nme\n(the thing)\n" * 20],
)  # fmt: skip
def test_other_files_are_no_models(tmp_path, data):
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises((NotAModelError, CorruptFileError), match=r"x\.ckpt"):
        read_pickle_header(tmp_path / "x.ckpt")


def test_a_zip_archive_of_something_else_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("model.ckpt", b"\x80\x02}.")
    with pytest.raises(NotAModelError, match=r"data\.pkl"):
        PickleFile(tmp_path / "x.zip")


def test_reading_after_the_end_and_beyond_a_tensor_is_an_error(saved):
    file = PickleFile(saved())
    with pytest.raises(IndexError):
        file.read_into("half", 10, memoryview(bytearray(5)))
    file.close()
    file.close()
    with pytest.raises(FileError):
        file.read_bytes("half")


def test_a_file_cut_short_at_any_place_is_broken_and_never_unsafe(saved, tmp_path):
    for is_zip in (True, False):
        data = saved(_use_new_zipfile_serialization=is_zip).read_bytes()
        for size in range(1, len(data), 97):
            (tmp_path / "cut.ckpt").write_bytes(data[:size])
            with pytest.raises((CorruptFileError, NotAModelError)):
                PickleFile(tmp_path / "cut.ckpt")
