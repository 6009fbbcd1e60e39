"""Texts in pictures are found wherever they stand, in every encoding that programs write them in."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from modelhub.errors import CorruptFileError, ModelhubError
from modelhub.formats.images import save_png
from modelhub.formats.picture_texts import read_texts, user_comment

no_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
TEXT = "a cat, 猫 é\nSteps: 20, Sampler: Euler"


def with_exif(path: Path, tag: int, value: object, *, inner: bool = True) -> Path:
    exif = Image.Exif()
    (exif.get_ifd(0x8769) if inner else exif)[tag] = value
    Image.new("RGB", (8, 8)).save(path, exif=exif.tobytes())
    return path


@pytest.mark.parametrize(
    "data",
    [
        b"UNICODE\0" + TEXT.encode("utf-16-be"),
        b"UNICODE\0" + TEXT.encode("utf-16-le"),
        b"UNICODE\0" + TEXT.encode("utf-16"),
        b"UNICODE\0\xfe\xff" + TEXT.encode("utf-16-be"),
        b"ASCII\0\0\0" + TEXT.encode(),
        b"\0" * 8 + TEXT.encode(),
        b"\0" * 8 + TEXT.encode("utf-16-le"),
        TEXT.encode(),
    ],
)
@pytest.mark.parametrize("ending", ["jpg", "webp", "png", pytest.param("avif", marks=no_avif)])
def test_user_comments_in_all_encodings(tmp_path: Path, data: bytes, ending: str) -> None:
    path = with_exif(tmp_path / f"a.{ending}", 0x9286, data)
    assert read_texts(path)["UserComment"] == TEXT


def test_japanese_and_a_wrong_claim() -> None:
    assert user_comment(b"JIS\0\0\0\0\0" + "猫".encode("iso2022_jp")) == "猫"
    assert user_comment(b"UNICODE\0plain letters, no zero") == "plain letters, no zero"
    assert user_comment(b"") == ""
    assert user_comment(b"UNICODE\0" + "猫が好き".encode()) == "猫が好き", "UTF-8 that claims to be UTF-16"
    assert user_comment(b"UNICODE\0" + "café".encode("utf-16-le") + b"\0") == "café", "an end as in C"
    assert user_comment(b"UNICODE\0" + "猫, a".encode("utf-16-be")) == "猫, a"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_some_text(data: bytes) -> None:
    user_comment(data).encode("utf-8", "surrogatepass")


def test_tags_of_windows_and_of_cameras(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x9C9C] = TEXT.encode("utf-16-le") + b"\0\0"
    exif[0x010F] = "workflow:{}"
    exif[0x0110] = 'prompt:{"1": {}}'
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    found = read_texts(tmp_path / "a.webp")
    assert (found["XPComment"], found["Make"], found["Model"]) == (TEXT, "workflow:{}", 'prompt:{"1": {}}')


def test_all_chunks_of_a_png_and_utf_8_where_latin_1_belongs(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("parameters", "plain é")
    info.add_itxt("prompt", "猫")
    info.add_text("Comment", "packed", zip=True)
    info.add(b"tEXt", b"mojibake\0" + "猫".encode())
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    assert read_texts(tmp_path / "a.png") == {
        "parameters": "plain é", "prompt": "猫", "Comment": "packed", "mojibake": "猫",
    }  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_what_is_saved_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    import numpy as np

    path = save_png(tmp_path_factory.mktemp("png") / "a.png", np.zeros((1, 1, 3), dtype=np.uint8), text)
    assert read_texts(path)["parameters"] == text


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60), st.booleans())
def test_broken_exif_is_an_error_of_ours_or_no_text(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, ordered: bool
) -> None:
    exif = (b"II*\0\x08\0\0\0" if ordered else b"") + data
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"eXIf", exif), (b"IDAT", zlib.compress(bytes(4))), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path = tmp_path_factory.mktemp("exif") / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    try:
        read_texts(path)
    except ModelhubError as error:
        assert isinstance(error, CorruptFileError)
