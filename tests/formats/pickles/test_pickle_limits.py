"""Files that are made to cost: each ends in an error or a result, soon, in little memory, and without a crash."""

from __future__ import annotations

import io
import resource
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import cache

import pytest
from own_time import at_most

from modelhub.errors import FileError, ModelhubError
from modelhub.formats.pickles.file import PickleFile, read_pickle_header

P = b"\x80\x02"


def _key(number: int) -> bytes:
    return b"X\6\0\0\0%06d" % number


def _laughs() -> bytes:
    lists = (b"]q%c(" % level + b"h%c" % (level - 1) * 10 + b"e" for level in range(1, 40))
    return P + b"]q\0" + b"".join(lists) + b"."


def _tuple_key() -> bytes:
    return P + b"Nq\0" + b"".join(b"h%ch%c\x86q%c" % (n - 1, n - 1, n) for n in range(1, 100)) + b"}q\xf0h\x63Ns."


@cache
def _archive(entries: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("m/data.pkl", b"N.")
        for number in range(entries):
            file.writestr(f"m/data/{number}", b"")
    return out.getvalue()


@cache
def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as file:
        for number in range(980):
            file.addfile(tarfile.TarInfo(str(number)))
    return out.getvalue()


def _often(data: bytes) -> bytes:
    """Bytes that torch is to load as a file, again and again, though nothing is wrong with them."""
    held = b"B" + struct.pack("<I", len(data)) + data + b"q\0"
    return P + held + b"](" + b"ctorch.storage\n_load_from_bytes\nh\0\x85R" * 19_000 + b"e"


def _script(code: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in (("data.pkl", b"}."), ("constants.pkl", b")."), ("code/m.py", code)):
            file.writestr(f"m/{name}", data)
    return out.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "a million nested tuples": lambda: P + b")" + b"\x85" * 1_000_000 + b".",
    "nested lists": lambda: P + b"]" * 500_000 + b"a" * 499_999 + b".",
    "nested dicts": lambda: P + b"}N" * 300_000 + b"}" + b"s" * 300_000 + b".",
    "nested calls": lambda: P + b"c__main__\nX\nq\0)R" + b"q\1h\0h\1\x85R" * 220_000 + b".",
    "nested modules": lambda: P + b"c__main__\nM\n)\x81" + b"}X\x08\0\0\0_modulesc__main__\nM\n)\x81" * 60_000 + b"}b" + b"sb" * 60_000 + b".",
    "nested ids": lambda: P + b"N" + b"Q" * 1_000_000 + b".",
    "nested marks": lambda: P + b"(" * 1_000_000,
    "a memo of large numbers": lambda: P + b"}" + b"".join(b"r" + struct.pack("<I", 2**32 - 1 - n) for n in range(500_000)) + b".",
    "a long loop": lambda: P + b"N0" * 5_000_000 + b".",
    "long texts of wide letters": lambda: P + b"".join(b"X\xa0\x0f\0\0\xf0\x9f\x98\x80" + b"a" * 3996 for _ in range(20_000)) + b".",
    "very many texts": lambda: P + b"\x8c\xff" + b"a" * 255 + (b"\x8c\xff" + b"a" * 255) * 300_000 + b".",
    "very long integers": lambda: P + (b"\x8b\0\4\0\0" + b"\1" * 1024) * 60_000 + b".",
    "an integer of a million digits": lambda: P + b"L" + b"9" * 1_000_000 + b"L\n.",
    "very many names": lambda: P + b"".join(b"cm%d\nn\n" % n for n in range(100_000)) + b".",
    "lists within lists, ten times each": _laughs,
    "a key that takes ages to hash": _tuple_key,
    "a large dict under many names": lambda: P + b"}q\0(" + b"".join(_key(n) + b"N" for n in range(100_000)) + b"u0}(" + b"".join(_key(n) + b"h\0" for n in range(90_000)) + b"u.",
    "a list within itself": lambda: P + b"]q\0h\0a.",
    "a module within itself": lambda: P + b"c__main__\nM\n)\x81q\0}X\x08\0\0\0_modules}X\1\0\0\0ah\0ssb.",
    "many small files in it": lambda: P + b"ctorch.storage\n_load_from_bytes\nq\0" + b"h\0C\4\x80\2N.\x85R" * 150_000 + b".",
    "many tensors that cannot be": lambda: P + b"}(" + b"".join(_key(n) + b"ctorch._utils\n_rebuild_x\n)R" for n in range(45_000)) + b"u.",
    "a very long name that is used often": lambda: P + b"c" + b"m" * 9_000_000 + b"\nn\nq\0" + b"h\0)R0" * 200_000 + b"}.",
    "very long arguments that are used often": lambda: P + b"(" + b"N" * 400_000 + b"tq\0" + b"}q\1(" + b"".join(_key(n) + b"ctorch._utils\n_rebuild_tensor_v2\nh\0R" for n in range(9000)) + b"u.",
    "a large dict as the state of many": lambda: P + b"}(" + b"".join(_key(n) + b"N" for n in range(200_000)) + b"uq\0ccollections\nOrderedDict\nh\0\x85Rq\1c__main__\nM\nq\2)\x81h\1bq\3]" + b"h\3a" * 9000 + b".",
    "dangerous calls without end": lambda: P + b"cos\nsystem\nq\0" + b"h\0(X\1\0\0\0aX\1\0\0\0btR0" * 60_000 + b"}.",
    "long keys of bytes that are met often": lambda: P + b"}(B\0\x10\0\0" + b"\xff" * 4096 + b"}uq\0](" + b"h\0" * 290_000 + b"e.",
    "an archive that is read often": lambda: P + b"B" + struct.pack("<I", len(_archive(5000))) + _archive(5000) + b"q\0ctorch.storage\n_load_from_bytes\nq\1" + b"h\1h\0\x85R" * 2000 + b".",
    "a tar archive that is read often": lambda: _often(_tar()) + b".",
    "a tar archive that is read often, with a broken end": lambda: _often(_tar()) + b"\xff",
    "code that is read often": lambda: _often(_script(b"save " + b"x" * 4_000_000)) + b".",
    "comments within comments": lambda: _script(b"torch#" * 500_000),
    "lines of comments": lambda: _script(b"#torch#\n" * 400_000),
    "spaces within code": lambda: _script((b"torch." + b" " * 1_000_000 + b"x") * 3),
    "a length beyond everything": lambda: P + b"\x8d" + b"\xff" * 8 + b"abc.",
    "a buffer beyond everything": lambda: P + b"\x96" + struct.pack("<Q", 2**62) + b"abc.",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(tmp_path, name):
    path = tmp_path / "bomb.pt"
    path.write_bytes(BOMBS[name]())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with at_most(6):
        try:
            with PickleFile(path) as file:
                assert not file.header.tensors
        except ModelhubError as error:
            assert "bomb.pt" in error.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def _shared_tensor(names: int, numel: int = 1) -> bytes:
    pid = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\1tQ"
    shape = b"J" + struct.pack("<i", numel)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + b"K\0" + shape + b"\x85K\0\x85\x89NtRq\1"
    return P + tensor + b"0}(" + b"".join(_key(n) + b"h\1" for n in range(names)) + b"u."


@pytest.mark.parametrize(("names", "numel"), [(60_000, 1), (2, 2**30), (5000, 2**20)])
def test_tensors_without_end_are_refused(tmp_path, names, numel):
    with zipfile.ZipFile(tmp_path / "many.pt", "w") as file:
        file.writestr("m/data.pkl", _shared_tensor(names, numel))
        file.writestr("m/data/0", b"1234")
    with pytest.raises(FileError, match="more than|many times"):
        read_pickle_header(tmp_path / "many.pt")


def test_tensors_that_are_scattered_over_all_of_a_file_are_refused(tmp_path, torch):
    """Each of two numbers would be read with all that lies between them."""
    storage = torch.zeros(6_000_000)
    for count, refused in ((30, False), (100, True)):
        torch.save({str(n): storage[n:][:5_000_001:5_000_000] for n in range(count)}, tmp_path / "m.pt")
        if refused:
            with pytest.raises(FileError, match="scatters"):
                read_pickle_header(tmp_path / "m.pt")
        else:
            assert len(read_pickle_header(tmp_path / "m.pt").tensors) == count


def test_long_notes_that_many_tensors_share_take_little_time(tmp_path):
    notes = b"}(" + b"".join(b"B\0\x10\0\0" + b"\xff" * 4092 + b"%04dN" % n for n in range(31)) + b"uq\5"
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\1tQq\2"
    rebuild, args = b"ctorch._utils\n_rebuild_tensor_v2\nq\3", b"(h\2K\0K\1\x85K\1\x85\x89Nh\5tq\6"
    each = b"".join(_key(n) + b"h\3h\6R" for n in range(20_000))
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as file:
        file.writestr("m/data.pkl", P + b"0".join([notes, storage, rebuild, args, b"}("]) + each + b"u.")
        file.writestr("m/data/0", b"1234")
    with at_most(6):
        assert len(read_pickle_header(tmp_path / "m.pt").tensors) == 20_000


@pytest.mark.parametrize("size", [300_000_000, 20_000_000])
def test_archives_that_unpack_to_far_more_are_refused(tmp_path, size):
    with (
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("m/data.pkl", "w", force_zip64=True) as inner,
    ):
        inner.write(P)
        for _ in range(size // 1_000_000):
            inner.write(b"N" * 1_000_000)
    with pytest.raises(FileError, match="packs"):
        PickleFile(tmp_path / "bomb.pt")


def test_an_entry_that_unpacks_to_more_than_it_says_is_broken(tmp_path, torch):
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("m/data.pkl", _shared_tensor(1))
        file.writestr("m/data/0", b"1" * 5_000_000)
    data = (tmp_path / "m.pt").read_bytes().replace(struct.pack("<I", 5_000_000), struct.pack("<I", 1000))
    (tmp_path / "m.pt").write_bytes(data)
    with PickleFile(tmp_path / "m.pt") as file, pytest.raises(FileError):
        file.read_bytes("000000")


def test_a_large_file_is_not_read_for_its_header(tmp_path):
    """A sparse file of 8 GiB, with a text of 2 GiB at its front."""
    with (tmp_path / "large.pt").open("wb") as file:
        file.write(P + b"X" + struct.pack("<I", 2**31))
        file.seek(2**31, 1)
        file.write(b".")
        file.truncate(2**33)
    tracemalloc.start()
    with PickleFile(tmp_path / "large.pt") as file:
        assert not file.header.tensors
        assert "follow" in file.findings[0]
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_files_within_files_end_at_some_depth(tmp_path):
    inner = P + b"}."
    for _ in range(7):
        inner = P + b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R."
    (tmp_path / "deep.pt").write_bytes(inner)
    with pytest.raises(FileError, match="deep"):
        PickleFile(tmp_path / "deep.pt")


def test_the_temporary_file_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr("modelhub.formats.pickles.survey.UNPACKED", 1000)
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("m/data.pkl", P + b"}." + b"\0" * 9000)
    with pytest.raises(FileError, match="unpacks to more"):
        PickleFile(tmp_path / "m.pt")


@pytest.mark.parametrize("tensors", [1200])
def test_a_header_takes_some_hundredths_of_a_second(torch, tmp_path, tensors):
    state = {f"model.diffusion_model.blocks.{n}.attention.to_k.weight": torch.zeros(4, 3) for n in range(tensors)}
    torch.save({"state_dict": state}, tmp_path / "m.ckpt")
    with at_most(0.2):  # 0.03 s on a machine that has time
        assert len(read_pickle_header(tmp_path / "m.ckpt").tensors) == tensors
