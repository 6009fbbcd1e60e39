"""A refusal is explained by whoever refused: the provider, the storage that it sent us to, or any server."""

from __future__ import annotations

import pytest
from world import World, faults

from modelhub.errors import (
    ArchivedError,
    LoginNeededError,
    ModelhubError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    UnreachableError,
)
from modelhub.fetch.net import Net, Patience, Refused
from modelhub.fetch.refusals import explained

QUICK = Patience(tries=1, knocks=1)


def _explained(url: str, provider: str, what: str = "the file") -> ModelhubError:
    with Net(lambda _: None, patience=QUICK) as net, pytest.raises(Refused) as caught, net.open(url, provider=provider):
        pass
    return explained(caught.value, provider, what)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, LoginNeededError),
        (403, ProviderError),
        (404, NotFoundError),
        (410, ArchivedError),
        (429, RateLimitedError),
        (451, ArchivedError),
        (500, UnreachableError),
        (418, ProviderError),
    ],
)
def test_any_server_is_explained_by_its_status(world: World, status: int, kind: type[ModelhubError]):
    world.fault("GET storage", faults.status(status, "because"))
    found = _explained(world.add_file("a.bin", b"a"), "web", "a.bin")
    assert type(found) is kind
    assert found.message.endswith("It says: because") and found.hint
    assert status in (429, 500) or "a.bin" in found.message


@pytest.mark.parametrize("body", ["<!DOCTYPE html><p>words", "", "[1]", '{"message": 1}', '{"message": " "}'])
def test_what_says_nothing_is_not_repeated(world: World, body: str):
    world.fault("GET storage", faults.status(403, body))
    assert "It says" not in _explained(world.add_file("a.bin", b"a"), "web").message


def test_a_wait_that_was_told_is_told(world: World):
    world.fault("GET storage", faults.status(429, retry_after=90))
    found = _explained(world.add_file("a.bin", b"a"), "web")
    assert isinstance(found, RateLimitedError)
    assert (found.wait, found.hint) == (90, "Try again in 1 min 30 s.")


@pytest.mark.parametrize("provider", ["civitai", "huggingface"])
def test_an_old_link_to_storage_asks_nobody_to_log_in(world: World, provider: str):
    world.fault("GET storage", faults.expired())
    found = _explained(world.add_file("a.bin", b"a"), provider)
    assert type(found) is ProviderError
    assert "no longer, taken by localhost:" in found.message and "new link" in found.hint


def test_a_provider_explains_itself(world: World):
    world.add_version(1, 2, [b"x"], usageControl="Generation")
    assert _explained(world.download_url(2), "civitai").code == "downloads-disabled"
    world.add_repo("mara/gated", {"a.safetensors": b"x"}, gated="auto")
    assert _explained(f"{world.hub.url}/mara/gated/resolve/main/a.safetensors", "huggingface").code in (
        "gated",
        "login-needed",
    )


def test_what_nobody_explains_is_still_told_in_full(world: World):
    world.fault("GET civitai", faults.status(410, {"message": "Model archived"}))
    with Net(lambda _: None) as net, pytest.raises(Refused) as caught:
        net.json(f"{world.civitai.url}/api/v1/models/1?token=sEcReT", provider="civitai")
    error = caught.value
    assert (error.code, error.exit_code) == ("archived", 5)
    assert "Model archived" in error.message and "sEcReT" not in error.message and error.hint
