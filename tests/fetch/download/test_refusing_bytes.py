"""What is not the file is told from it before much of it comes, and never takes away what was there."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import replace

import numpy as np
import pytest
from blake3 import blake3
from download_bench import QUICK, Bench, some_bytes
from world import faults
from world.answers import Answer, page, said

from modelhub.errors import LoginNeededError, ModelhubError, WrongBytesError
from modelhub.fetch.download import already

GET = "GET storage"


def instead(answer: Answer) -> faults.Fault:
    return faults.Fault("instead", before=lambda *_: answer)


def test_a_login_page(bench: Bench):
    bench.world.fault(GET, faults.html("Sign in to continue"))
    with pytest.raises(LoginNeededError, match="shows a page to log in, not model.safetensors"):
        bench.get()
    assert bench.beside == []


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream", ""])
def test_a_web_page(bench: Bench, kind: str):
    text = page("Just a moment...").with_headers(Content_Type=kind)
    bench.world.fault(GET, instead(text))
    with pytest.raises(WrongBytesError, match="sent a web page instead of model.safetensors: Just a moment"):
        bench.get(size=None)
    assert bench.beside == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"<html><form><input type=password></form></html>", "a page to log in"),
        (b"\xef\xbb\xbf\n <!-- hi --><HTML lang=en>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "a pointer of Git LFS"),
        (b'{"error": "Model not found"}', "JSON instead of model.safetensors: Model not found"),
        (b'{"message": "no\\u001b[31m"}', r"JSON instead of model.safetensors: no\\x1b"),
        (b'{"ok": true}', "JSON instead"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "an error in XML .* NoSuchKey"),
        (b"<Error><Code>A</Code><Message>B https://h/?token=verysecret12</Message></Error>", r"A: B https://h/\?token=\*\*\*"),
    ],
)  # fmt: skip
def test_texts_with_a_good_status(bare: Bench, text: bytes, error: str):
    bare.serve(text)
    with pytest.raises(ModelhubError, match=error):
        bare.get()
    assert bare.beside == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", b"<html>a page in a text</html>"),
        ("index.html", b"<!doctype html><title>log in</title>"),
        ("config.json", b'{"error": "a word like any other"}'),
        ("picture.svg", b"<?xml version='1.0'?><svg/>"),
        ("notes", b'{"key": 1}'),
        ("model.safetensors", b"\x10\0\0\0\0\0\0\0{              }"),
    ],
)
def test_texts_that_are_the_file(bare: Bench, name: str, text: bytes):
    bare.serve(text, name)
    bare.get()
    assert bare.goal.read_bytes() == text


def test_a_model_that_is_called_a_page_is_one(bare: Bench, make_file):
    data = make_file("one.safetensors", {"a": np.zeros(5, np.float32)}).read_bytes()
    bare.serve(data, Content_Type="text/html")
    bare.get()
    assert bare.goal.read_bytes() == data


def test_other_bytes_that_are_called_a_page_are_none(bare: Bench):
    bare.serve(some_bytes(100_000), Content_Type="text/html")
    with pytest.raises(WrongBytesError, match="a web page"):
        bare.get()


@pytest.mark.parametrize(
    "fault",
    [
        faults.html(),
        faults.pointer(),
        instead(said({"error": "x"})),
        faults.status(403),
        faults.gzipped(),
        instead(Answer(204)),
    ],
)
def test_nothing_of_that_costs_what_is_there(bench: Bench, fault: faults.Fault):
    bench.world.fault(GET, faults.drop(100_000), fault, fault)
    with pytest.raises(ModelhubError):
        bench.get()
    assert already(bench.file, bench.goal) == 100_000
    bench.world.clear_faults()
    assert bench.get().resumed == 100_000
    assert bench.goal.read_bytes() == bench.data


def test_compression_is_refused_politely_once(bench: Bench):
    bench.world.fault(GET, faults.gzipped())
    bench.get()
    assert bench.goal.read_bytes() == bench.data
    first, second = bench.world.asked_of("storage")
    assert (first.headers["Accept-Encoding"], second.headers["Accept-Encoding"]) == (
        "identity",
        "identity;q=1, *;q=0",
    )


def test_compression_is_refused_for_good(bench: Bench):
    bench.world.fault(GET, faults.gzipped(), times=None)
    with pytest.raises(WrongBytesError, match="compressed"):
        bench.get()
    assert len(bench.world.asked) == 2


def test_a_file_that_is_a_gzip_is_none_that_was_compressed(bare: Bench):
    bare.serve(gzip.compress(b"hello"), "a.gz")
    bare.get()
    assert gzip.decompress(bare.goal.read_bytes()) == b"hello"


def test_an_empty_file_is_no_model(bare: Bench):
    bare.serve(b"")
    with pytest.raises(WrongBytesError, match="empty"):
        bare.get()
    assert bare.beside == []


def test_an_empty_file_that_was_promised(bare: Bench):
    bare.file = replace(bare.serve(b"", "__init__.py"), size=0)
    assert bare.get().size == 0
    assert bare.goal.read_bytes() == b""


def test_another_size_is_refused_before_it_comes(bench: Bench):
    bench.world.fault(
        GET, faults.Fault("endless", after=lambda answer, _: answer.with_headers(Content_Length="9" * 15))
    )
    with pytest.raises(WrongBytesError, match="should have 300,000 bytes"):
        bench.get()
    assert bench.beside == []


def test_a_body_without_end_is_left(bench: Bench):
    bench.world.fault(GET, faults.endless(), times=None)
    with pytest.raises(WrongBytesError, match="sends more than the 300 kB"):
        bench.get()
    assert bench.beside == []
    assert sum(bench.counts) == 0


def test_a_size_that_is_about_right_is_not_taken_at_its_word(bench: Bench):
    bench.get(size=299_000, exact=False)
    assert bench.goal.read_bytes() == bench.data
    bench.world.fault(GET, faults.endless())
    with pytest.raises(WrongBytesError, match="sends more"):
        bench.get(size=299_000, exact=False)


def test_a_server_that_never_gives_the_right_part(bench: Bench):
    """It answers with a part where the whole was asked for."""
    odd = faults.Fault(
        "odd", after=lambda answer, _: replace(answer, status=206).with_headers(Content_Range="bytes 5-9/10")
    )
    bench.world.fault(GET, odd, times=None)
    with pytest.raises(ModelhubError):
        bench.get()
    assert len(bench.world.asked) <= QUICK.tries


def digests(data: bytes) -> dict[str, str]:
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "blake3": blake3(data).hexdigest(),
        "crc32": f"{zlib.crc32(data):08x}",
        "autov1": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
        "autov2": hashlib.sha256(data).hexdigest()[:10],
        "git": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
    }


@pytest.mark.parametrize("name", ["sha256", "blake3", "crc32", "autov1", "autov2", "git"])
def test_every_hash_alone_proves_a_file_or_condemns_it(bare: Bench, name: str):
    data = some_bytes(1_200_000)
    file = bare.serve(data)
    right = digests(data)[name]
    bare.file = replace(file, hashes={name: right.upper()})
    assert bare.get().notes == ()
    wrong = "0" * len(right)
    bare.file = replace(file, hashes={name: wrong})
    with pytest.raises(WrongBytesError) as caught:
        bare.get()
    assert right in caught.value.message
    assert wrong in caught.value.message
    assert [one for one in bare.beside if "get-" in one] == []


def test_the_data_area_proves_a_file_where_nothing_else_is_told(bare: Bench, make_file):
    data = make_file("one.safetensors", {"a": np.arange(50, dtype=np.float32)}).read_bytes()
    size = int.from_bytes(data[:8], "little")
    right = hashlib.sha256(data[8 + size :]).hexdigest()[:12]
    file = bare.serve(data)
    bare.file = replace(file, hashes={"autov3": right})
    assert bare.get().notes == ()
    bare.file = replace(file, hashes={"autov3": "0" * 12})
    assert "AutoV3 is told to be 000000000000" in bare.get().notes[0], "programs differ in what it is the hash of"


def test_the_strongest_hash_decides(bench: Bench):
    bench.file = replace(bench.file, hashes={"crc32": "00000000", "sha256": bench.sha256, "autov1": "ffffffff"})
    (note,) = bench.get().notes
    assert note.startswith("CRC32 is told to be 00000000")
    bench.file = replace(bench.file, hashes={**digests(bench.data), "sha256": "0" * 64})
    with pytest.raises(WrongBytesError):
        bench.get()


def test_what_cannot_be_proven_is_told(bare: Bench):
    assert bare.get().notes == ("No hash of it was told, so that only its size could be checked.",)
    bare.file = replace(bare.file, hashes={"sha256": "not a hash", "strange": "1"})
    assert "No hash" in bare.get().notes[0]
