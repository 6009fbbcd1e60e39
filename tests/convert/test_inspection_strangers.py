"""Files that are no models: what they are is said, from their bytes."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest
from inspection_files import HOSTILE
from PIL import Image

from modelhub.convert.inspect import inspect
from modelhub.errors import CorruptFileError, FileError, NotAModelError


def picture(form: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, form)
    return out.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 2132696762\n"

FILES = {
    "web page": b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
    "web page ": b"\n\n <HTML><head></head></HTML>",
    "web page  ": b'<!-- x --> <html lang="en">',
    "Git LFS pointer": POINTER,
    "run of zeros": bytes(20_000),
    "PNG picture": picture("PNG"),
    "JPEG picture": picture("JPEG"),
    "WebP picture": picture("WEBP"),
    "gzip data": gzip.compress(b"x" * 100),
    "PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "JSON text": b'{"error": "Unauthorized"}',
    "plain text": "Der Download ist fertig, schöne Grüße.\n".encode(),
    "program for Windows": b"MZ\x90\0" + bytes(100),
}


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model"])
@pytest.mark.parametrize("what", FILES)
def test_a_stranger_is_named(tmp_path, what, name):
    path = tmp_path / name
    path.write_bytes(FILES[what])
    with pytest.raises(NotAModelError, match=what.strip()) as caught:
        inspect(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_pointer_says_how_large_the_model_is(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(POINTER)
    with pytest.raises(NotAModelError) as caught:
        inspect(path)
    assert "2.13 GB" in caught.value.hint
    assert "git lfs pull" in caught.value.hint


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
def test_an_empty_file_is_empty(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(CorruptFileError, match="is empty"):
        inspect(tmp_path / name)


def test_an_archive_of_something_else_says_what_is_in_it(tmp_path):
    path = tmp_path / "model.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr(f"{HOSTILE}/model.safetensors", "x")
    with pytest.raises(NotAModelError) as caught:
        inspect(path)
    assert "readme.txt" in caught.value.message
    assert "model.safetensors" in caught.value.hint
    assert (caught.value.message + caught.value.hint).isprintable()


def test_an_index_without_its_files_is_known_for_one(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(NotAModelError, match="index of a model"):
        inspect(path)


def test_text_that_reads_like_a_pickle_by_accident_is_not_called_dangerous(tmp_path):
    """`c`, a line, a line: to an unpickler that is a name with dots in it."""
    path = tmp_path / "notes.ckpt"
    path.write_bytes(b"color is nice\nThe end.\nand more\n")
    with pytest.raises(NotAModelError, match="plain text"):
        inspect(path)


@pytest.mark.parametrize("text", [HOSTILE, '{"' + HOSTILE + '": 1}'])
def test_what_is_quoted_of_a_stranger_is_harmless(tmp_path, text):
    path = tmp_path / "x.bin"
    path.write_text(text, newline="")
    with pytest.raises(FileError) as caught:
        inspect(path)
    assert caught.value.message.isprintable()


def test_noise_is_no_model(tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"\xff\xfe\x00\x01" * 100)
    with pytest.raises(NotAModelError):
        inspect(path)
