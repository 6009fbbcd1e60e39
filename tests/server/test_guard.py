"""Who is let in: headers as browsers and programs send them."""

from __future__ import annotations

from base64 import b64encode

import pytest

from modelhub.server.guard import Guard, is_loopback

HOME = Guard.of("127.0.0.1")


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("modelhub.localhost", True),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("gpu-box", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(host, answer):
    assert is_loopback(host) is answer
    assert bool(Guard.of(host).token) is not answer


def test_every_server_has_a_token_of_its_own_that_is_long():
    tokens = {Guard.of("0.0.0.0").token for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) >= 32 for token in tokens)
    assert Guard.of("0.0.0.0").token not in repr(Guard.of("0.0.0.0"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8000"},
        {"Host": "localhost:9000"},  # ssh -L 9000:localhost:8000
        {"Host": "[::1]:8000"},
        {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Host": "LOCALHOST:8000", "Origin": "http://localhost:8000"},
    ],
)
def test_the_own_page_and_programs_are_let_in(headers):
    assert HOME.foreign(headers) == ""
    assert HOME.knows(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "evil.example"},
        {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"},  # DNS rebinding
        {"Host": "127.0.0.1.evil.example:8000"},
        {"Host": "127.0.0.1:8000@evil.example"},
        {"Host": "[::1"},
        {"Host": "127.0.0.1:8000", "Origin": "http://evil.example"},
        {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:3000"},
        {"Host": "127.0.0.1:8000", "Origin": "http://localhost:8000"},
        {"Host": "127.0.0.1:8000", "Origin": "null"},
        {"Host": "127.0.0.1:8000", "Origin": ""},
        {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_are_refused(headers):
    assert HOME.foreign(headers)


def test_a_link_on_another_site_may_open_the_page_but_nothing_else():
    headers = {"Host": "localhost:8000", "Sec-Fetch-Site": "cross-site"}
    assert HOME.foreign(headers, navigates=True) == ""
    assert HOME.foreign(headers | {"Host": "evil.example"}, navigates=True)
    assert HOME.foreign(headers | {"Origin": "http://evil.example"}, navigates=True)


def test_on_other_hosts_the_token_is_asked_and_the_name_is_free():
    guard = Guard("0.0.0.0", "s3cret")
    headers = {"Host": "gpu-box:8000"}
    assert guard.foreign(headers) == ""
    assert guard.foreign(headers | {"Origin": "http://evil.example"})
    assert not guard.knows(headers)
    assert not guard.knows(headers, "", "wrong", "s3cre", "s3cret2", "ß")
    assert guard.knows(headers, "", "s3cret")
    assert guard.knows(headers | {"Authorization": "Bearer s3cret"})
    assert guard.knows(headers | {"Authorization": "Basic " + b64encode(b"any:s3cret").decode()})
    for wrong in ("", "Bearer", "Bearer wrong", "Basic", "Basic !", "Basic s3cret", "Digest s3cret"):
        assert not guard.knows(headers | {"Authorization": wrong})
    assert not guard.knows(headers | {"Authorization": "Basic " + b64encode(b"s3cret:any").decode()})
