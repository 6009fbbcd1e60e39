"""Links that end are asked for anew, at the provider and then at whoever knows the file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from download_bench import Bench, some_bytes
from world import faults
from world.place import World

from modelhub.errors import ModelhubError, WrongBytesError
from modelhub.fetch.download import already, fetched
from modelhub.fetch.net import Net
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.writer import into_place


class Civitai:
    """A version on Civitai, which leads to the storage host by a signed link, and what is told of its file."""

    def __init__(self, bench: Bench, world: World) -> None:
        self.bench, self.world = bench, world
        world.add_version(1, 2, [{"data": bench.data, "name": "a.safetensors"}])
        bench.file = RemoteFile(
            "a.safetensors", world.download_url(2), size=len(bench.data), hashes={"sha256": bench.sha256}
        )

    def get(self, again=None) -> Path:
        bench = self.bench
        with (
            Net(lambda provider: "secret-of-civitai", patience=bench.patience) as net,
            fetched(bench.file, bench.goal, "civitai", net, advance=bench.advance, again=again) as found,
        ):
            into_place(found.part, bench.goal)
        return bench.goal


@pytest.fixture
def civitai(bench: Bench, world: World) -> Civitai:
    return Civitai(bench, world)


def test_the_token_goes_to_the_provider_alone(civitai: Civitai):
    assert civitai.get().read_bytes() == civitai.bench.data
    (first,) = civitai.world.asked_of("civitai")
    (second,) = civitai.world.asked_of("storage")
    assert (first.authorization, second.authorization) == ("Bearer secret-of-civitai", None)


@pytest.mark.parametrize("status", [400, 403, 410])
def test_a_link_that_ended_is_renewed(civitai: Civitai, status: int):
    civitai.world.fault("GET storage", faults.drop(100_000), faults.status(status))
    assert civitai.get().read_bytes() == civitai.bench.data
    assert len(civitai.world.asked_of("civitai")) == 3
    assert [asked.range for asked in civitai.world.asked_of("storage")] == [None, "bytes=100000-", "bytes=100000-"]


def test_links_are_renewed_as_long_as_bytes_come(civitai: Civitai):
    for _ in range(5):
        civitai.world.fault("GET storage", faults.drop(50_000), faults.expired())
    assert civitai.get().read_bytes() == civitai.bench.data


def test_a_store_that_takes_no_link_is_given_up(civitai: Civitai):
    civitai.world.fault("GET storage", faults.drop(100_000))
    civitai.world.fault("GET storage", faults.expired(), times=None)
    with pytest.raises(ModelhubError) as caught:
        civitai.get()
    assert len(civitai.world.asked_of("storage")) == 3
    assert "secret" not in caught.value.message + caught.value.hint
    assert "Signature" not in caught.value.message
    assert already(civitai.bench.file, civitai.bench.goal) == 100_000


def test_another_address_is_asked_for(civitai: Civitai):
    old, asked = civitai.bench.file, []

    def again() -> RemoteFile:
        asked.append(1)
        return replace(old, url=civitai.world.add_file("moved/a.safetensors", civitai.bench.data))

    civitai.world.fault("GET storage", faults.drop(100_000))
    civitai.world.fault("GET storage /bucket", faults.expired(), times=None)
    assert civitai.get(again).read_bytes() == civitai.bench.data
    assert asked == [1]
    assert civitai.world.asked[-1].range in ("bytes=100000-", None)


def test_an_address_that_the_provider_forgot(civitai: Civitai):
    moved = civitai.world.add_file("moved/a.safetensors", civitai.bench.data)
    civitai.world.fault("GET civitai", faults.status(404), times=None)
    assert civitai.get(lambda: replace(civitai.bench.file, url=moved)).read_bytes() == civitai.bench.data


def test_it_is_asked_for_once(civitai: Civitai):
    asked = []

    def again() -> RemoteFile:
        asked.append(1)
        return civitai.bench.file

    civitai.world.fault("GET civitai", faults.status(404), times=None)
    with pytest.raises(ModelhubError):
        civitai.get(again)
    assert asked == [1]


def test_another_file_at_the_new_address_is_none(civitai: Civitai):
    other = hashlib.sha256(some_bytes(10)).hexdigest()
    civitai.world.fault("GET civitai", faults.status(410), times=None)
    with pytest.raises(WrongBytesError, match=f"its SHA256 is {other}"):
        civitai.get(lambda: replace(civitai.bench.file, hashes={"sha256": other}))


def test_a_signed_address_of_the_web_keeps_its_part(bare: Bench):
    """The signature is no part of what is fetched: with a new one the download goes on."""
    first = replace(bare.file, url=bare.file.url + "?X-Amz-Signature=0123456789abcdef")
    second = replace(bare.file, url=bare.file.url + "?X-Amz-Signature=fedcba9876543210")
    bare.file = first
    bare.world.fault("GET storage", faults.drop(100_000), faults.status(403))
    with pytest.raises(ModelhubError):
        bare.get()
    assert "0123456789abcdef" not in "".join(path.read_text("latin-1") for path in bare.goal.parent.glob(".*.json"))
    bare.file = second
    assert bare.get().resumed == 100_000
    assert bare.goal.read_bytes() == bare.data
