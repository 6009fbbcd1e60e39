"""PNG files with infotext, and pictures that nobody should trust."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from modelhub.errors import CorruptFileError, FileExistsAlreadyError, ModelhubError, UsageError, VanishedError
from modelhub.formats.images import load_thumbnail, save_png, save_thumbnail
from modelhub.formats.picture_texts import read_texts

EXIF_ORIENTATION = 0x0112
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)


def pixels_of(path: Path) -> np.ndarray:
    return load_thumbnail(path, 10_000)


def parameters_of(path: Path) -> str | None:
    return read_texts(path).get("parameters")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IEND", b"")


@pytest.mark.parametrize("text", ["plain", "café ×", "猫 🐈 is a cat", None, "two\nlines\ttab"])
def test_pixels_and_text_come_back(tmp_path: Path, text: str | None) -> None:
    path = save_png(tmp_path / "a.png", PIXELS, text)
    assert np.array_equal(pixels_of(path), PIXELS)
    assert parameters_of(path) == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_latin_1_goes_to_text_and_the_rest_to_itxt(tmp_path: Path) -> None:
    latin = save_png(tmp_path / "l.png", PIXELS, "café").read_bytes()
    other = save_png(tmp_path / "o.png", PIXELS, "猫").read_bytes()
    assert b"tEXtparameters\0caf\xe9" in latin
    assert b"iTXtparameters\0" in other
    assert "猫".encode() in other


def test_other_programs_read_it(tmp_path: Path) -> None:
    with Image.open(save_png(tmp_path / "a.png", PIXELS, "Steps: 1")) as image:
        assert image.mode == "RGB"
        assert image.info["parameters"] == "Steps: 1"


def test_the_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    one, other = (save_png(tmp_path / name, PIXELS, "x").read_bytes() for name in ("a.png", "b.png"))
    assert one == other


def test_text_after_the_pixels_is_found(tmp_path: Path) -> None:
    rows = zlib.compress(b"".join(b"\0" + bytes(3) for _ in range(1)))
    path = tmp_path / "late.png"
    path.write_bytes(png(1, 1, chunk(b"IDAT", rows), chunk(b"tEXt", b"parameters\0late")))
    assert parameters_of(path) == "late"


def test_an_existing_file_stays_without_force(tmp_path: Path) -> None:
    path = save_png(tmp_path / "a.png", PIXELS, "first")
    with pytest.raises(FileExistsAlreadyError):
        save_png(path, PIXELS, "second")
    assert parameters_of(path) == "first"
    save_png(path, PIXELS, "second", force=True)
    assert parameters_of(path) == "second"


@pytest.mark.parametrize("name", ["a.jpg", "a", "missing/a.png"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        save_png(tmp_path / name, PIXELS)


def test_other_formats_have_pixels_and_no_parameters(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(PIXELS).save(path)
    assert pixels_of(path).shape == (7, 5, 3)
    assert parameters_of(path) is None


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VanishedError):
        parameters_of(tmp_path / "no.png")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(100_000, 1000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(*size, chunk(b"IDAT", zlib.compress(bytes(1000)))))
    for read in (pixels_of, parameters_of):
        with pytest.raises(CorruptFileError):
            read(path)


def test_a_text_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    text = b"parameters\0\0" + zlib.compress(bytes(200_000_000))
    path.write_bytes(png(1, 1, chunk(b"zTXt", text), chunk(b"IDAT", zlib.compress(bytes(4)))))
    with pytest.raises(CorruptFileError):
        parameters_of(path)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a\1\0\1\0", b"hello", png(0, 0)])
def test_what_is_no_picture(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(CorruptFileError):
        pixels_of(path)


WHOLE = png(5, 2, chunk(b"tEXt", b"parameters\0hi"), chunk(b"IDAT", zlib.compress(bytes(32))))


@settings(deadline=None)
@given(st.integers(8, len(WHOLE) - 1), st.integers(0, 255), st.booleans())
def test_damage_is_an_error_of_ours_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("damage") / "d.png"
    path.write_bytes(WHOLE[:place] if cut else WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
    for read in (pixels_of, parameters_of):
        try:
            read(path)
        except CorruptFileError as error:
            assert str(path) in error.message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_thumbnails_keep_the_shape_and_fit(tmp_path, kind):
    path = tmp_path / "picture"
    Image.new("RGB", (900, 300), (250, 10, 20)).save(path, kind)
    pixels = load_thumbnail(path, 90)
    assert pixels.shape == (30, 90, 3) and abs(pixels.astype(int) - (250, 10, 20)).max() <= 4
    assert load_thumbnail(path, 2000).shape == (300, 900, 3)


def test_thumbnails_of_sixteen_bits_of_grey_are_grey(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 128, 129, 32768, 65535]], np.uint16)).save(path)
    assert load_thumbnail(path, 90)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    save_thumbnail(path, tmp_path / "small.jpg", 90)
    assert pixels_of(tmp_path / "small.jpg").mean() < 130


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_thumbnails_are_turned_as_exif_says(tmp_path, kind, orientation):
    path, exif = tmp_path / "turned", Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    corners = np.zeros((40, 80, 3), np.uint8)
    corners[:20, :40], corners[:20, 40:], corners[20:, :40] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    Image.fromarray(corners).save(path, kind, exif=exif)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    found = load_thumbnail(path, 80)
    assert found.shape == expected.shape and abs(found.astype(int) - expected).max() < 20


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_broken_exif_hides_no_picture(tmp_path, kind):
    path = tmp_path / "picture"
    Image.fromarray(PIXELS).save(path, kind, exif=b"Exif\0\0garbage garbage", lossless=True)
    assert np.array_equal(pixels_of(path), PIXELS) and read_texts(path) == {}


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "picture.png"
    os.mkfifo(path)
    with pytest.raises(ModelhubError, match="a pipe"):
        load_thumbnail(path, 90)
    with pytest.raises(ModelhubError, match="a pipe"):
        parameters_of(path)
