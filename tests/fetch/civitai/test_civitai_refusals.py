"""Each refusal of Civitai by its cause, as a server that plays it answers, and with the next step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from world import faults

from modelhub.errors import (
    ArchivedError,
    DownloadsDisabledError,
    EarlyAccessError,
    LoginNeededError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    UnreachableError,
)
from modelhub.fetch.civitai.dates import moment, spoken
from modelhub.fetch.civitai.refusals import archived, early, explain
from modelhub.fetch.net import Net, Patience, Refused

WHAT = 'version "v2" of "WAI" (civitai:1@2)'


def refused(world):
    """What is said of a download of version 2."""
    with (
        Net(patience=Patience(tries=1, knocks=1)) as net,
        pytest.raises(Refused) as caught,
        net.open(world.download_url(2), provider="civitai"),
    ):
        pass
    return explain(caught.value.refusal, WHAT)


def test_login_needed(world):
    world.add_version(1, 2, [b"x"], needs_login=True)
    error = refused(world)
    assert type(error) is LoginNeededError
    assert "modelhub login civitai" in error.hint
    assert WHAT in error.message


def test_a_token_that_is_not_known(world, monkeypatch):
    world.add_version(1, 2, [b"x"], needs_login=True)
    monkeypatch.setenv("CIVITAI_TOKEN", "0123456789-wrong")
    error = refused(world)
    assert type(error) is LoginNeededError
    assert "does not take the token" in error.message
    assert "0123456789-wrong" not in error.message + error.hint


def test_downloads_disabled_is_no_matter_of_logging_in(world):
    world.add_version(1, 2, [b"x"], usageControl="Generation")
    error = refused(world)
    assert type(error) is DownloadsDisabledError
    assert "No token helps" in error.hint
    assert "login" not in error.hint


def test_early_access_with_its_date(world):
    until = (datetime.now(UTC) + timedelta(days=3, hours=1)).isoformat()
    world.add_version(1, 2, [b"x"], availability="EarlyAccess", earlyAccessEndsAt=until)
    error = refused(world)
    assert type(error) is EarlyAccessError
    assert f"{until[:10]} " in error.message
    assert "(in 3 days)" in error.message


@pytest.mark.parametrize("deadline", [None, "soon", 5, "2020-01-01T00:00:00Z"])
def test_early_access_without_a_date_of_use(world, deadline):
    world.add_version(1, 2, [b"x"], availability="EarlyAccess", earlyAccessEndsAt=deadline)
    error = refused(world)
    assert type(error) is EarlyAccessError
    assert "not known" in error.message


def test_archived(world):
    world.add_version(1, 2, [b"x"], mode="Archived")
    assert type(refused(world)) is ArchivedError


def test_no_such_version_and_no_such_file(world):
    error = refused(world)
    assert type(error) is NotFoundError
    assert "deleted" in error.hint
    world.add_version(1, 2, [])
    error = refused(world)
    assert type(error) is NotFoundError
    assert "--list" in error.hint


def test_a_question_that_is_not_taken(world):
    issues = [{"code": "custom", "message": "Expected number"}]
    world.fault("download", faults.status(400, {"error": {"name": "ZodError", "message": "[…]", "issues": issues}}))
    error = refused(world)
    assert type(error) is ProviderError
    assert error.message.endswith("It says: Expected number")


def test_a_name_of_a_file_stays_as_it_is():
    for error in (early("ink.safetensors", None), archived("ink.safetensors")):
        assert " ink.safetensors" in error.message


def test_forbidden(world):
    world.fault("download", faults.status(403, "Forbidden"))
    error = refused(world)
    assert type(error) is ProviderError
    assert "blocked" in error.hint


@pytest.mark.parametrize(("after", "words"), [(9000, "in 2 h 30 min"), (None, "tomorrow")])
def test_too_many_downloads(world, after, words):
    body = {"error": "We have detected an unusual amount of downloading from your account"}
    world.fault("download", faults.status(429, body, retry_after=after))
    error = refused(world)
    assert type(error) is RateLimitedError
    assert words in error.hint
    assert error.wait == after


def test_asked_too_often(world):
    world.fault("download", faults.status(429, "slow down", retry_after=9000))
    error = refused(world)
    assert type(error) is RateLimitedError
    assert "slow down" in error.message
    assert error.wait == 9000


def test_the_rest_is_as_anywhere(world):
    world.fault("download", faults.status(503))
    assert type(refused(world)) is UnreachableError
    world.fault("download", faults.status(400, {"error": {"issues": [{"message": "bad"}]}}))
    assert type(refused(world)) is ProviderError


@pytest.mark.parametrize(
    ("text", "when"),
    [("2026-11-03T14:00:00.000Z", (2026, 11, 3, 14)), ("2026-11-03T14:00:00+02:00", (2026, 11, 3, 12)), ("2026-11-03", (2026, 11, 3, 0)),
     ("2026-99-03", None), ("", None), (None, None), (7, None), ("0001-01-01T00:00:00+14:00", None), ("9" * 1000, None)],
)  # fmt: skip
def test_moments(text, when):
    assert moment(text) == (datetime(*when, tzinfo=UTC) if when else None)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (72, "in 3 days"),
        (24, "in 1 day"),
        (5, "in 5 hours"),
        (0.1, "in 6 minutes"),
        (0, "in 1 minute"),
        (-30, "1 day ago"),
    ],
)
def test_distances(hours, words):
    today = datetime(2026, 11, 3, 14, tzinfo=UTC)
    assert spoken(today + timedelta(hours=hours), today).endswith(f" UTC ({words})")
