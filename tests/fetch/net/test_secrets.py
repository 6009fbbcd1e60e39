"""A token must never be seen: not in errors and what they hold, not in events, logs, representations or other hosts."""

from __future__ import annotations

import gc
import io
import logging
import traceback

import pytest
from world import World, faults

from modelhub.errors import ModelhubError
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.net.asking import Question
from modelhub.fetch.net.redirects import Hop
from modelhub.fetch.net.session import Authorization
from modelhub.fetch.refusals import explained
from modelhub.jobs import Event, Job

TOKEN = "sEcReT-0123456789"
QUICK = Patience(connect=1, read=0.3, tries=2, knocks=2, first=0.001)

FAULTS = [
    faults.refuse(),
    faults.stall(),
    faults.drop(1),
    faults.nonsense(),
    faults.bad_chunks(),
    faults.html(),
    faults.loop(),
    faults.expired(),
    faults.status(500, f"you sent Bearer {TOKEN}"),
    faults.status(401, {"message": f"bad token {TOKEN}"}, X_Echo=TOKEN),
    faults.status(429, f"https://u:{TOKEN}@h/x?token={TOKEN}"),
    faults.redirect(f"http://127.0.0.1:1/x?X-Amz-Signature={TOKEN}"),
    faults.redirect(f"http://u:{TOKEN}@127.0.0.1:1/x"),
    faults.redirect(f"http://[::1/x?token={TOKEN}"),
    faults.redirect(f"/login?token={TOKEN}"),
    faults.redirect(f"http://nope.invalid/x?sig={TOKEN}"),
    faults.redirect(f"https://127.0.0.1:1/{'x' * 10}?key={TOKEN}"),
]


def _chain(error: BaseException | None) -> list[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def _all_words(error: BaseException) -> str:
    """Everything that anybody could print of an error, of its causes and of what it holds."""
    parts = []
    for one in _chain(error):
        held = (
            {**vars(one), **{f"refusal.{name}": getattr(one.refusal, name) for name in one.refusal.__slots__}}
            if hasattr(one, "refusal")
            else vars(one)
        )
        parts += [str(one), repr(one), repr(one.args), repr(held)]
    return "\n".join([*parts, "".join(traceback.format_exception(error))])


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("how", ["json", "open"])
def test_no_error_event_or_log_shows_the_token(world: World, fault, how: str, caplog):
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    job = Job("test", events.append)
    world.fault("GET civitai", fault, times=None)
    url = f"{world.civitai.url}/x?token={TOKEN}"
    with Net(lambda _: TOKEN, patience=QUICK) as net, pytest.raises(ModelhubError) as caught:
        if how == "json":
            net.json(url, provider="civitai", job=job, signed=True)
        with net.open(url, provider="civitai", job=job) as response:
            response.raw.read()
            raise ModelhubError("read")
    words = _all_words(caught.value) + repr(events) + caplog.text + repr([record.__dict__ for record in caplog.records])
    assert TOKEN not in words
    if hasattr(caught.value, "refusal"):
        found = explained(caught.value, "web", "the file")
        assert TOKEN not in f"{found!r} {found.message} {found.hint}"


def test_no_other_host_sees_the_token(world: World):
    world.add_version(1, 2, [b"abc"])
    world.fault("GET civitai /models/1", faults.redirect(world.add_file("x.json", b"{}")))
    with Net(lambda _: TOKEN, patience=QUICK) as net:
        net.json(f"{world.civitai.url}/models/1", provider="civitai", signed=True)
    assert [TOKEN in str(one.headers.items()) + one.target for one in world.asked] == [True, False]


def test_representations_hide_it():
    question = Question("GET", "https://h/x", headers={"Authorization": TOKEN})
    shown = f"{Authorization(TOKEN)!r} {Hop('GET', f'https://h/x?token={TOKEN}', TOKEN)!r} {question!r}"
    assert TOKEN not in shown


def test_what_the_library_logs_is_cleaned(world: World):
    """Its debug log shows every path with its query."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logger = logging.getLogger("urllib3.connectionpool")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        url = world.add_file("x.json", b"{}")
        with Net(lambda _: None) as net:
            net.json(f"{url}?X-Amz-Signature={TOKEN}&fp=fp16")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert "/x.json?X-Amz-Signature=***&fp=fp16" in said.getvalue() and TOKEN not in said.getvalue()


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN} x", f"{TOKEN}\x00", f"{TOKEN}é"])
def test_a_token_that_no_header_can_hold_is_not_shown(world: World, token: str):
    with Net(lambda _: token) as net, pytest.raises(ModelhubError, match="token for Civitai") as caught:
        net.json(f"{world.civitai.url}/x", provider="civitai", signed=True)
    assert TOKEN not in _all_words(caught.value)
    assert world.asked == []


def test_no_exception_of_the_library_is_left_behind(world: World):
    """They hold the request with its headers; what is gone cannot be printed."""
    from requests.exceptions import RequestException

    gc.collect()
    world.fault("GET civitai", faults.refuse(), times=None)
    with Net(lambda _: TOKEN, patience=QUICK) as net, pytest.raises(ModelhubError) as caught:
        net.json(f"{world.civitai.url}/x", provider="civitai", signed=True)
    assert [type(one) for one in _chain(caught.value) if isinstance(one, RequestException)] == []
