"""Looking up many at a time, as sync and updates do."""

from __future__ import annotations

import hashlib

import pytest
from world import faults

from modelhub.errors import CancelledError, NotFoundError, ProviderError, RateLimitedError, UsageError
from modelhub.fetch import civitai
from modelhub.fetch.net import Net, Patience
from modelhub.jobs import Job


@pytest.fixture
def net(world):
    with Net(patience=Patience(tries=1, knocks=1)) as made:
        yield made


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_versions_by_their_files(world, net):
    for number in range(1, 251):
        world.add_version(number, 1000 + number, [b"file %d" % number, b"other %d" % number])
    wanted = {sha256(b"file %d" % number): 1000 + number for number in range(1, 251)}
    unknown = sha256(b"nobody knows it")
    found = civitai.versions_by_sha256([*wanted, unknown, *(one.upper() for one in wanted)], net)
    assert {digits: version["id"] for digits, version in found.items()} == wanted
    asked = world.asked_of("civitai", "POST", "/by-hash")
    assert [len(one.json()) for one in asked] == [100, 100, 51]
    assert all(one.isupper() or one.isdigit() for one in asked[0].json())


def test_two_files_of_one_version(world, net):
    world.add_version(1, 2, [b"a", b"b"])
    found = civitai.versions_by_sha256([sha256(b"a"), sha256(b"b")], net)
    assert [version["id"] for version in found.values()] == [2, 2]


def test_nothing_is_asked_for_nothing(world, net):
    assert civitai.versions_by_sha256([], net) == {}
    assert civitai.models([], net) == {}
    assert world.asked == []


@pytest.mark.parametrize("digits", ["ab", "", "zz" * 32, sha256(b"")])
def test_what_is_no_hash_of_a_file(world, net, digits):
    with pytest.raises(UsageError):
        civitai.versions_by_sha256([digits], net)
    assert world.asked == []


def test_models_by_their_numbers(world, net):
    for number in range(1, 131):
        world.add_version(number, 1000 + number, [b"x%d" % number], nsfw=number % 2 == 0)
    found = civitai.models([*range(1, 131), 5000, 1], net)
    assert sorted(found) == list(range(1, 131))
    assert found[2]["modelVersions"][0]["id"] == 1002
    assert len(world.asked_of("civitai", "GET", "/api/v1/models")) == 2


def test_a_job_that_was_stopped_asks_nothing(world, net):
    job = Job("test")
    job.cancel()
    with pytest.raises(CancelledError):
        civitai.models([1], net, job)
    with pytest.raises(CancelledError):
        civitai.versions_by_sha256([sha256(b"x")], net, job)
    assert world.asked == []


def test_refusals_are_explained(world, net):
    world.fault("by-hash", faults.status(429, retry_after=9000))
    with pytest.raises(RateLimitedError) as caught:
        civitai.versions_by_sha256([sha256(b"x")], net)
    assert caught.value.wait == 9000
    world.fault("by-hash", faults.status(200, {"error": "no list"}))
    with pytest.raises(ProviderError, match="not the list"):
        civitai.versions_by_sha256([sha256(b"x")], net)
    world.fault("models?", faults.status(404, {"error": "x"}))
    with pytest.raises(NotFoundError):
        civitai.models([1], net)
