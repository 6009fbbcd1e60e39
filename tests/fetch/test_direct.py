"""A file at any address: what its server says of it, what is no file, and what a hostile server tries."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator

import pytest
from world import World, faults, samples

from modelhub.errors import (
    ArchivedError,
    LoginNeededError,
    NotFoundError,
    ProviderError,
    UnreachableError,
    UsageError,
    WrongBytesError,
)
from modelhub.fetch.direct import find_offer, told_sha256
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.offer import Offer
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import WebSource

LORA = samples.lora()
SHA256 = hashlib.sha256(LORA).hexdigest()
Ask = Callable[[str], Offer]


@pytest.fixture
def net(world: World) -> Iterator[Net]:
    with Net(lambda provider: None, patience=Patience(read=5, tries=2, knocks=1, first=0.001)) as made:
        yield made


@pytest.fixture
def offer(net: Net) -> Ask:
    return lambda url: find_offer(WebSource(url), net)


def test_a_file_is_offered_with_what_its_server_says(world: World, offer: Ask):
    url = world.add_file("models/sketch.safetensors", LORA)
    found = offer(url)
    (file,) = found.files
    assert (file.name, file.url, file.size, file.format) == ("sketch.safetensors", url, len(LORA), "safetensors")
    assert (file.primary, dict(file.hashes)) == (True, {})
    assert (found.provider, found.title, found.address, found.kind) == ("web", "sketch", url, None)
    assert found.facts.source == url


def test_no_more_than_the_front_is_asked_for(world: World, offer: Ask):
    offer(world.add_file("x.safetensors", samples.large()))
    (asked,) = world.asked
    assert (asked.method, asked.sent) == ("GET", 512)


@pytest.mark.parametrize("fault", [faults.whole_file(), faults.headers(Accept_Ranges=None)])
def test_a_server_without_parts(world: World, offer: Ask, fault: faults.Fault):
    world.fault("GET storage /x", fault, times=None)
    assert offer(world.add_file("x.safetensors", LORA)).files[0].size == len(LORA)


@pytest.mark.parametrize("status", [400, 405, 416, 501])
def test_a_server_that_wants_no_part_to_be_asked_for(world: World, offer: Ask, status: int):
    world.fault("GET storage /x", faults.status(status))
    assert offer(world.add_file("x.safetensors", LORA)).files[0].size == len(LORA)
    assert [asked.headers.get("Range") for asked in world.asked] == ["bytes=0-511", None]


def test_a_file_of_nothing(world: World, offer: Ask):
    assert offer(world.add_file("x.safetensors", b"")).files[0].size == 0


def test_a_size_that_nobody_tells(world: World, offer: Ask):
    url = world.add_file("x.safetensors", LORA)
    world.fault("GET storage /x", faults.status(405), faults.chunked())
    assert offer(url).files[0].size is None
    world.fault("GET storage /x", faults.status(405), faults.gzipped())
    assert offer(url).files[0].size is None


def test_the_name_is_that_of_the_answer_and_raw(world: World, offer: Ask):
    url = world.add_file("download", LORA)
    world.fault("GET storage /download", faults.named("../../sketch.safetensors"))
    assert offer(url).files[0].name == "../../sketch.safetensors"
    world.fault("GET storage /download", faults.named_utf8("猫 sketch.safetensors"))
    assert offer(url).files[0].name == "猫 sketch.safetensors"
    assert offer(url).files[0].name == "download"


def test_after_a_redirect_the_better_name_counts(world: World, offer: Ask):
    there = world.add_file("0a1b2c", LORA)
    url = world.add_file("sketch.safetensors", b"")
    world.fault("GET storage /sketch", faults.redirect(there))
    found = offer(url)
    assert (found.files[0].name, found.files[0].url, found.files[0].size) == ("sketch.safetensors", url, len(LORA))


# -- hashes ------------------------------------------------------------------------------------------------------------


def test_a_promise_in_the_address_is_kept(world: World, offer: Ask):
    url = world.add_file("x.safetensors", LORA)
    found = offer(f"{url}#sha256={SHA256.upper()}")
    assert found.files[0].hashes == {"sha256": SHA256}
    assert found.files[0].url == url
    assert offer(found.address).files == found.files, "the address leads to the same file, promise included"


def test_a_promise_of_a_wrong_length_is_refused(world: World, offer: Ask):
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        offer("http://localhost:1/x.safetensors#sha256=abc")
    assert world.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Linked-Etag": f'"{SHA256}"'},
        {"X-Checksum-Sha256": SHA256.upper()},
        {"Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"},
        {"Digest": f"md5=abc=,SHA-256={base64.b64encode(bytes.fromhex(SHA256)).decode()}"},
    ],
)
def test_a_hash_that_headers_tell(headers: dict[str, str]):
    assert told_sha256(headers) == SHA256


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": f'"{SHA256}"'},
        {"X-Linked-Etag": '"' + "a" * 40 + '"'},
        {"Content-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"},
        {"Digest": "sha-256=%%%"},
        {"Repr-Digest": "sha-512=:" + "A" * 86 + "==:"},
    ],
)
def test_what_is_no_hash_of_the_whole_file(headers: dict[str, str]):
    assert told_sha256(headers) is None


def test_a_hash_without_the_last_sign_of_its_base64_is_one():
    assert told_sha256({"Digest": "sha-256=" + "A" * 43}) == "00" * 32


def test_a_hash_of_the_server_is_taken(world: World, offer: Ask):
    url = world.add_file("x.safetensors", LORA, X_Linked_Etag=f'"{SHA256}"')
    assert offer(url).files[0].hashes == {"sha256": SHA256}


# -- what is no file ---------------------------------------------------------------------------------------------------


def test_a_page_is_no_file(world: World, offer: Ask):
    url = world.add_file("model", b"x")
    world.fault("GET storage /model", faults.html())
    with pytest.raises(UsageError, match="is a web page, not a file") as caught:
        offer(url)
    assert "download button" in caught.value.hint


@pytest.mark.parametrize(
    ("data", "kind", "is_page"),
    [
        (b"\n <!DOCTYPE html><html>", "application/octet-stream", True),
        (b"\xef\xbb\xbf<HTML lang=en>", "", True),
        (b"words", "text/html; charset=utf-8", True),
        (LORA, "text/html", False),
        (b"words", "text/plain", False),
    ],
)
def test_a_page_is_known_by_its_bytes_too(world: World, offer: Ask, data: bytes, kind: str, is_page: bool):
    url = world.add_file("x.safetensors", data, Content_Type=kind)
    if is_page:
        with pytest.raises(UsageError):
            offer(url)
    else:
        assert offer(url).files


def test_a_pointer_is_no_file(world: World, offer: Ask):
    url = world.add_file("x.safetensors", b"x")
    world.fault("GET storage /x", faults.pointer())
    with pytest.raises(WrongBytesError, match="Git LFS pointer"):
        offer(url)


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "file:///etc/passwd", "ipfs://abc", "http://", "x.safetensors", "http://[x/y", "data:,x"]
)
def test_other_addresses_are_refused(world: World, offer: Ask, url: str):
    with pytest.raises(UsageError):
        offer(url)
    assert world.asked == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, LoginNeededError),
        (403, ProviderError),
        (404, NotFoundError),
        (410, ArchivedError),
        (500, UnreachableError),
    ],
)
def test_refusals_are_told_by_their_cause(world: World, offer: Ask, status: int, error: type[Exception]):
    url = world.add_file("x.safetensors", LORA)
    world.fault("GET storage /x", faults.status(status), times=None)
    with pytest.raises(error):
        offer(url)


def test_a_line_that_breaks_is_told(world: World, offer: Ask):
    url = world.add_file("x.safetensors", LORA)
    world.fault("GET storage /x", faults.nonsense(), times=None)
    with pytest.raises(UnreachableError):
        offer(url)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_secrets_of_the_address_are_used_and_not_shown(world: World, net: Net):
    plain = world.add_file("x.safetensors", LORA)
    found = find_offer(read_source(f"{plain}?token=verysecret&v=1"), net)
    assert world.asked[0].query["token"] == "verysecret"
    shown = [found.source, found.address, found.title, found.page, found.facts.source, found.versions[0].address]
    assert not [text for text in shown if "verysecret" in str(text)]
    with pytest.raises(ProviderError) as caught:  # this host wants no `Authorization`
        find_offer(read_source(plain.replace("http://", "http://mara:hush@")), net)
    assert world.asked[-1].authorization and "hush" not in caught.value.message + caught.value.hint


def test_no_token_of_a_provider_goes_anywhere(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", world.hub.token)
    monkeypatch.setenv("CIVITAI_TOKEN", "civitai-secret")
    with Net() as net:
        find_offer(WebSource(world.add_file("x.safetensors", LORA)), net)
    assert [one.authorization for one in world.asked] == [None]
