"""Pictures with all that belongs to them: every mode, depth and orientation against Pillow; texts and profiles kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from modelhub.errors import CorruptFileError, FileError, FileExistsAlreadyError, UsageError
from modelhub.formats.whole_images import WholeImage, load_whole, save_whole

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (6, 9, 4), dtype=np.uint8)


def _saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_colours(tmp_path: Path) -> None:
    found = load_whole(_saved(tmp_path / "a.png", Image.fromarray(RGB)))
    assert np.array_equal(found.pixels, RGB) and found.alpha is None and found.size == (9, 6)
    assert not found.texts and found.profile is None


@pytest.mark.parametrize("form", ["png", "webp"])
def test_transparency(form: str, tmp_path: Path) -> None:
    found = load_whole(_saved(tmp_path / f"a.{form}", Image.fromarray(RGBA), lossless=True, exact=True))
    assert found.alpha is not None
    assert np.array_equal(found.pixels, RGBA[..., :3]) and np.array_equal(found.alpha, RGBA[..., 3])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_modes_are_as_pillow_has_them(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(RGBA).convert("RGB" if mode != "LA" else "RGBA").convert(mode)
    found = load_whole(_saved(tmp_path / "a.png", image))
    expected = np.array(image.convert("RGBA"))
    assert np.array_equal(found.pixels, expected[..., :3])
    assert np.array_equal(found.alpha, expected[..., 3]) if mode == "LA" else found.alpha is None


@pytest.mark.parametrize("form", ["png", "gif"])
def test_a_palette_with_a_transparent_colour(form: str, tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(8)
    found = load_whole(_saved(tmp_path / f"p.{form}", image, transparency=3))
    assert found.alpha is not None
    assert np.array_equal(found.alpha, np.where(np.array(image) == 3, 0, 255))
    seen = found.alpha > 0
    assert np.array_equal(found.pixels[seen], np.array(image.convert("RGB"))[seen])


def test_cmyk(tmp_path: Path) -> None:
    path = _saved(tmp_path / "c.jpg", Image.fromarray(RGB).convert("CMYK"))
    assert np.array_equal(load_whole(path).pixels, np.array(Image.open(path).convert("RGB")))


def test_sixteen_bits_of_grey_are_rounded_to_eight(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 257, 385, 386, 32768, 65279, 65535]], np.uint16)
    found = load_whole(_saved(tmp_path / "d.png", Image.fromarray(deep)))
    expected = np.rint(deep / 257)
    assert np.array_equal(found.pixels, np.stack([expected] * 3, -1)) and found.alpha is None
    assert found.pixels[0, 6, 0] == 128, "Pillow's own conversion makes all above 255 white"


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("form", ["png", "jpg"])
def test_turned_as_exif_says(orientation: int, form: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(tmp_path / f"o.{form}", Image.fromarray(RGB), exif=exif, **({"quality": 95} if form == "jpg" else {}))
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    found = load_whole(path)
    assert np.array_equal(found.pixels, expected) and found.pixels.flags.c_contiguous


def test_texts_are_kept(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("parameters", "a café\nSteps: 20, Sampler: Euler, Seed: 1")
    info.add_itxt("workflow", '{"nodes": "漢字"}')
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    first = load_whole(_saved(tmp_path / "t.png", Image.fromarray(RGB), pnginfo=info))
    assert dict(first.texts) == {
        "parameters": "a café\nSteps: 20, Sampler: Euler, Seed: 1",
        "workflow": '{"nodes": "漢字"}',
    }
    goal = save_whole(tmp_path / "u.png", first)
    with Image.open(goal) as image:
        assert image.text == dict(first.texts)
    assert load_whole(goal).texts == first.texts


def test_exif_of_a_png_is_no_text_chunk(tmp_path: Path) -> None:
    info, exif = PngInfo(), Image.Exif()
    info.add_text("Software", "by hand")
    exif[0x010E], exif[0x0110], exif[0x9C9C] = "described", "prompt:{}", "x".encode("utf-16-le")
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"a cat\nSteps: 9, Seed: 1, Size: 8x8"
    found = load_whole(_saved(tmp_path / "e.png", Image.fromarray(RGB), pnginfo=info, exif=exif))
    assert dict(found.texts) == {"Software": "by hand", "parameters": "a cat\nSteps: 9, Seed: 1, Size: 8x8"}


@pytest.mark.parametrize("form", ["jpg", "webp"])
def test_the_infotext_of_other_formats(form: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a cat 漢\nSteps: 9, Seed: 1, Size: 8x8".encode("utf-16-be")
    found = load_whole(_saved(tmp_path / f"i.{form}", Image.fromarray(RGB), exif=exif))
    assert dict(found.texts) == {"parameters": "a cat 漢\nSteps: 9, Seed: 1, Size: 8x8"}


def test_colour_profiles(tmp_path: Path) -> None:
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = rgb[:16] + b"GRAY" + rgb[20:]
    first = load_whole(_saved(tmp_path / "a.png", Image.fromarray(RGB), icc_profile=rgb))
    assert first.profile == rgb
    with Image.open(save_whole(tmp_path / "b.png", first)) as image:
        assert image.info["icc_profile"] == rgb
    assert load_whole(_saved(tmp_path / "g.png", Image.fromarray(RGB).convert("L"), icc_profile=grey)).profile is None


def test_saved_pixels_are_what_comes_back(tmp_path: Path) -> None:
    for alpha in (None, RGBA[..., 3]):
        goal = save_whole(tmp_path / "s.png", WholeImage(RGB, alpha), force=True)
        found = load_whole(goal)
        assert np.array_equal(found.pixels, RGB)
        assert found.alpha is None if alpha is None else np.array_equal(found.alpha, alpha)
    before = goal.read_bytes()
    with pytest.raises(FileExistsAlreadyError):
        save_whole(goal, WholeImage(RGB))
    assert goal.read_bytes() == before
    with pytest.raises(UsageError, match="not a name for a PNG"):
        save_whole(tmp_path / "s.jpg", WholeImage(RGB))


def test_halves_of_characters_in_texts(tmp_path: Path) -> None:
    found = load_whole(save_whole(tmp_path / "x.png", WholeImage(RGB, texts={"parameters": "a \udcff b"})))
    assert found.texts["parameters"] == "a ? b"


@pytest.mark.parametrize("cut", [0, 7, 60, -400])
def test_a_damaged_picture(cut: int, tmp_path: Path) -> None:
    whole = _saved(tmp_path / "w.png", Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))).read_bytes()
    path = tmp_path / "cut.png"
    path.write_bytes(whole[:cut])
    with pytest.raises(CorruptFileError):
        load_whole(path)
    with pytest.raises(FileError):
        load_whole(tmp_path / "none.png")


def test_hostile_exif_is_no_reason_to_fail(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes()
    path = _saved(tmp_path / "h.jpg", Image.fromarray(RGB), exif=data[:-9] + b"\xff" * 9)
    assert load_whole(path).size in ((9, 6), (6, 9))
