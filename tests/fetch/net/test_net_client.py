"""Net against real servers: redirects, tokens, retries, bodies, other addresses, cancelling."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest
from world import World, faults

from modelhub import __version__
from modelhub.errors import CancelledError, LoginNeededError, ProviderError, UnreachableError, UsageError
from modelhub.fetch.net import Net, Patience, Refused
from modelhub.jobs import Event, Job

QUICK = Patience(connect=2, read=2, first=0.001, most=0.002, longest=5)
TOKEN = "civitai-token-0123456789abcdef"
MODEL = "https://civitai.com/api/v1/models/1"


@pytest.fixture
def net():
    with Net(_tokens, patience=QUICK) as net:
        yield net


def _tokens(provider: str) -> str | None:
    return {"civitai": TOKEN, "huggingface": "hf_0123456789abcdefghijklmnop"}.get(provider)


@pytest.fixture
def told():
    events: list[Event] = []
    return Job("test", events.append), lambda: [one.item for one in events]


# -- what is sent ------------------------------------------------------------------------------------------------------


def test_an_address_of_civitai_is_asked_at_the_endpoint(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    assert net.json(MODEL, provider="civitai")["id"] == 1
    (asked,) = world.asked
    assert (asked.site, asked.path) == ("civitai", "/api/v1/models/1")
    assert asked.headers["User-Agent"] == f"modelhub/{__version__}"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.authorization is None  # a token would switch Civitai's cache off


def test_what_civitai_gives_only_to_those_who_log_in_is_asked_again_with_the_token(world: World, net: Net):
    assert net.json("https://civitai.red/api/v1/me", provider="civitai")["username"] == "mara"
    assert [one.authorization for one in world.asked] == [None, f"Bearer {TOKEN}"]


def test_signed_or_not_can_be_said(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    net.json(MODEL, provider="civitai", signed=True)
    with pytest.raises(Refused) as caught:
        net.json("https://civitai.com/api/v1/me", provider="civitai", signed=False)
    assert caught.value.refusal.status == 401 and not caught.value.refusal.signed
    assert [one.authorization for one in world.asked] == [f"Bearer {TOKEN}", None]


def test_parameters_go_into_the_query(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    net.json(
        "https://civitai.com/api/v1/models",
        params={"ids": "1,2", "baseModels": ["SD 1.5", "Pony"], "tag": None},
        provider="civitai",
    )
    assert world.asked[0].pairs == [("ids", "1,2"), ("baseModels", "SD 1.5"), ("baseModels", "Pony")]


def test_post_sends_json(world: World, net: Net):
    version = world.add_version(1, 2, [b"x"])
    digest = next(iter(version.files)).hashes["SHA256"]
    url = "https://civitai.com/api/v1/model-versions/by-hash"
    assert [one["id"] for one in net.post(url, [digest], provider="civitai")] == [2]
    assert world.asked[0].json() == [digest]


@pytest.mark.parametrize("provider", ["web", "huggingface"])
def test_a_token_is_not_for_another_providers_address(world: World, net: Net, provider: str):
    world.add_version(1, 2, [b"x"])
    net.json(f"{world.civitai.url}/api/v1/models/1", provider=provider, signed=True)
    assert world.asked[0].authorization is None
    assert world.asked[0].headers["Content-Type"] is None


def test_netrc_is_not_read(world: World, net: Net, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\nmachine localhost login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    world.fault("GET hub", faults.redirect(world.add_file("a.bin", b"abc")))
    with net.open(f"{world.hub.url}/x") as response:
        assert response.raw.read() == b"abc"
    assert [one.authorization for one in world.asked] == [None, None]


def test_a_user_in_an_address_is_known_to_its_host_only(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    url = f"{world.civitai.url}/api/v1/models/1".replace("//", "//user:pa%20ss@")
    world.fault("GET civitai */models/1", faults.redirect(world.add_file("a.json", b"{}")))
    assert net.json(url) == {}
    assert [one.authorization for one in world.asked] == ["Basic dXNlcjpwYSBzcw==", None]


def test_cookies_are_not_kept(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai", faults.headers(Set_Cookie="session=1; Path=/"))
    net.json(MODEL, provider="civitai")
    net.json(MODEL, provider="civitai")
    assert world.asked[1].headers["Cookie"] is None


# -- redirects ---------------------------------------------------------------------------------------------------------


def test_the_token_stays_with_its_provider_when_storage_is_redirected_to(world: World, net: Net):
    world.add_version(1, 2, [b"the bytes"])
    with net.open(
        "https://civitai.com/api/download/models/2", provider="civitai", headers={"Range": "bytes=4-"}
    ) as got:
        assert (got.status_code, got.raw.read()) == (206, b"bytes")
        assert [one.status_code for one in got.history] == [307]
        assert not any("Authorization" in one.request.headers for one in [got, *got.history])
    first, second = world.asked
    assert (first.site, first.authorization) == ("civitai", f"Bearer {TOKEN}")
    assert (second.site, second.authorization) == ("storage", None)
    assert second.headers["Accept-Encoding"] == "identity"


def test_private_headers_of_the_caller_stay_too(world: World, net: Net):
    goal = world.add_file("a.bin", b"abc")
    world.fault("GET hub", faults.redirect(goal))
    with net.open(f"{world.hub.url}/x", headers={"Cookie": "a=b", "authorization": "Bearer mine", "X-Mine": "1"}):
        pass
    assert [one.headers["X-Mine"] for one in world.asked] == ["1", "1"]
    assert [one.headers["Cookie"] for one in world.asked] == ["a=b", None]
    assert world.asked[1].authorization is None


def test_another_port_of_the_same_host_is_another_address(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai", faults.redirect(f"{world.hub.url}/api/whoami-v2"))
    with pytest.raises(Refused) as caught:
        net.json(MODEL, provider="civitai", signed=True)
    assert [one.authorization for one in world.asked] == [f"Bearer {TOKEN}", None]
    assert caught.value.refusal.status == 401


def test_a_redirect_need_not_be_followed(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    with net.open(world.download_url(2), provider="civitai", follow=False) as got:
        assert got.status_code == 307 and "X-Amz-Signature" in got.headers["Location"]
    assert len(world.asked) == 1


def test_the_body_of_a_redirect_is_not_waited_for(world: World, net: Net):
    world.fault(
        "GET civitai", replace(faults.endless(), before=faults.redirect(world.add_file("a.json", b"[1]")).before)
    )
    assert net.json(f"{world.civitai.url}/x") == [1]


def test_relative_redirects_are_followed(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai /old", faults.redirect("/api/v1/models/1", 308))
    assert net.json(f"{world.civitai.url}/old", provider="civitai")["id"] == 1


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://localhost/x", "http://[::1", "", "javascript:1"])
def test_only_the_web_is_followed(world: World, net: Net, place: str):
    world.fault("GET civitai", faults.redirect(place))
    with pytest.raises(ProviderError, match="no web address"):
        net.json(f"{world.civitai.url}/x")
    assert len(world.asked) == 1


def test_a_loop_ends(world: World, net: Net):
    world.fault("GET civitai", faults.loop(), times=None)
    with pytest.raises(ProviderError, match="on to somewhere else"):
        net.json(f"{world.civitai.url}/x")
    assert len(world.asked) == 11


@pytest.mark.parametrize(
    "place",
    [
        "/login?returnUrl=%2F",
        "/en/login",
        "https://auth.example/login/?reason=download-auth",
        "/x?reason=download-auth",
    ],
)
def test_a_login_page_is_not_read(world: World, net: Net, place: str):
    world.fault("GET civitai", faults.redirect(place), times=None)
    with Net(lambda _: None, patience=QUICK) as stranger, pytest.raises(LoginNeededError) as caught:
        stranger.json(MODEL, provider="civitai")
    assert "modelhub login civitai" in caught.value.hint and "expired" not in caught.value.message
    with pytest.raises(LoginNeededError, match="in spite of the token"):
        net.json(MODEL, provider="civitai", signed=True)
    assert len(world.asked) == 2


# -- again -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(429),
        faults.status(500),
        faults.status(503),
        faults.status(524),
        faults.refuse(),
        faults.nonsense(),
        faults.drop(3),
        faults.drop(3, reset=False),
        faults.wrong_length(5),
        faults.bad_chunks(4),
    ],
    ids=lambda fault: fault.name,
)
def test_passing_trouble_passes(world: World, net: Net, fault, told):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai", fault, times=2)
    job, said = told
    assert net.json(MODEL, provider="civitai", job=job)["id"] == 1
    assert len(world.asked) == 3
    assert len(said()) == 2 and all("Trying again in" in one for one in said())


def test_silence_is_trouble_that_passes(world: World):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai", faults.stall())
    with Net(patience=Patience(read=0.2, first=0.001)) as net:
        assert net.json(MODEL, provider="civitai")["id"] == 1


def test_lasting_trouble_is_told_after_some_tries(world: World, net: Net):
    world.fault("GET civitai", faults.status(502, {"error": "bad gateway"}), times=None)
    with pytest.raises(Refused, match="status 502.*bad gateway") as caught:
        net.json(MODEL, provider="civitai")
    assert (caught.value.code, caught.value.exit_code, len(world.asked)) == ("unreachable", 5, QUICK.tries)


def test_a_line_that_always_breaks_is_told(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai", faults.drop(3), times=None)
    with pytest.raises(UnreachableError, match="broke off"):
        net.json(MODEL, provider="civitai")
    assert len(world.asked) == QUICK.tries


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 451, 501])
def test_an_answer_is_an_answer(world: World, net: Net, status: int):
    world.fault("GET civitai", faults.status(status), times=None)
    with pytest.raises(Refused) as caught:
        net.json(f"{world.civitai.url}/x")
    assert (caught.value.refusal.status, len(world.asked)) == (status, 1)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_wait_that_a_server_asks_for_is_kept(world: World, net: Net, form: str, told):
    from email.utils import formatdate

    world.add_version(1, 2, [b"x"])
    after = "1" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
    world.fault("GET civitai", faults.status(429, retry_after=after))
    job, said = told
    before = time.monotonic()
    assert net.json(MODEL, provider="civitai", job=job)["id"] == 1
    assert 0.9 <= time.monotonic() - before < 20
    assert len(said()) == 1 and re.match(r"Civitai asks to wait [123]\.\d s", said()[0])


def test_a_wait_that_is_too_long_is_an_error_with_the_wait(world: World, net: Net):
    world.fault("GET civitai", faults.status(429, retry_after=3600), times=None)
    with pytest.raises(Refused) as caught:
        net.json(MODEL, provider="civitai")
    assert (caught.value.code, caught.value.refusal.wait, len(world.asked)) == ("rate-limited", 3600, 1)
    assert "1 h 00 min" in caught.value.hint


def test_the_limit_of_the_hub_is_waited_for(world: World, net: Net, told):
    """It names the seconds in a header of its own, as huggingface_hub reads it."""
    job, items = told
    world.add_repo("o/r", {"a.json": b"{}"})
    world.fault("GET hub", faults.status(429, RateLimit='"api";r=0;t=1'))
    started = time.monotonic()
    net.json(f"{world.hub.url}/api/models/o/r", provider="huggingface", job=job)
    assert time.monotonic() - started >= 1
    assert "Hugging Face asks to wait 1.0 s." in items()
    world.fault("GET hub", faults.status(429, RateLimit='"api";r=0;t=900'))
    with pytest.raises(Refused) as caught:
        net.json(f"{world.hub.url}/api/models/o/r", provider="huggingface")
    assert caught.value.refusal.wait == 900


def test_a_limit_of_a_day_is_not_knocked_at(world: World, net: Net):
    body = {"error": "We have detected an unusual amount of downloading from your account"}
    world.fault("GET civitai", faults.status(429, body), times=None)
    with pytest.raises(Refused):
        net.json(MODEL, provider="civitai")
    assert len(world.asked) == 1


def test_offline_holds_for_the_bytes_too_and_for_the_hub_alone(world: World, net: Net, monkeypatch: pytest.MonkeyPatch):
    world.add_repo("o/r", {"a.safetensors": b"x"})
    world.add_version(1, 2, [b"x"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "on")
    address = "https://huggingface.co/o/r/resolve/main/a.safetensors"
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE"), net.open(address, provider="huggingface"):
        pass
    assert world.asked == []
    assert net.json(MODEL, provider="civitai")["id"] == 1


def test_once_is_once(world: World, net: Net):
    world.fault("GET civitai", faults.refuse(), times=None)
    with pytest.raises(UnreachableError), net.open(f"{world.civitai.url}/x", patient=False):
        pass
    assert len(world.asked) == 1


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_web_page_is_no_data(world: World, net: Net):
    world.fault("GET civitai", faults.html())
    with pytest.raises(ProviderError, match="Civitai answered with a web page where data was expected"):
        net.json(MODEL, provider="civitai")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "nothing"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"1" * 10_000, "not JSON"),
    ],
)
def test_what_is_not_json_is_told(world: World, net: Net, body: bytes, what: str):
    with pytest.raises(ProviderError, match=f"answered with .*{what}"):
        net.json(world.add_file("a.json", body))


def test_compressed_json_is_read(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    world.fault("GET civitai", faults.gzipped())
    assert net.json(MODEL, provider="civitai")["id"] == 1


def test_a_body_without_end_ends(world: World, net: Net):
    url = world.add_file("a.json", b"{}")
    world.fault("GET storage", faults.endless())
    with pytest.raises(ProviderError, match=r"more than 1 MB"):
        net.json(url, limit=1_000_000)


def test_a_bomb_of_zeros_is_bounded(world: World, net: Net):
    import gzip

    bomb = gzip.compress(b"0" * 50_000_000)
    with pytest.raises(ProviderError, match="more than 1 MB"):
        net.json(world.add_file("a.json", bomb, Content_Encoding="gzip"), limit=1_000_000)


def test_bytes_come_as_they_are(world: World, net: Net):
    with net.open(world.add_file("a.bin", b"abc", Content_Encoding="gzip")) as response:
        assert response.raw.read() == b"abc"


def test_head_asks_for_no_body(world: World, net: Net):
    with net.open(world.add_file("a.bin", b"abc"), method="HEAD") as response:
        assert (response.headers["Content-Length"], response.raw.read()) == ("3", b"")


def test_a_refusal_keeps_the_words_of_the_server(world: World, net: Net):
    words = {"error": "Early Access", "deadline": "2030-01-01"}
    world.fault("GET civitai", faults.status(403, words, X_Error_Code="EarlyAccess"))
    with pytest.raises(Refused) as caught, net.open(f"{world.civitai.url}/x", provider="civitai"):
        pass
    refusal = caught.value.refusal
    assert (refusal.json, refusal.headers["x-error-code"], refusal.signed) == (words, "EarlyAccess", True)
    assert json.loads(refusal.body) == words
    assert refusal.host == world.civitai.url.removeprefix("http://")


# -- other addresses of Civitai ----------------------------------------------------------------------------------------


def test_what_the_first_address_does_not_have_another_may(world: World):
    world.add_file("api/v1/models/9", b'{"id": 9}')
    with Net(_tokens, patience=QUICK, civitai_others=("http://127.0.0.1:1", world.hub.url, world.storage.url)) as net:
        assert net.json("https://civitai.com/api/v1/models/9", provider="civitai", signed=True) == {"id": 9}
        with pytest.raises(Refused) as caught:
            net.json("https://civitai.com/api/v1/models/10", provider="civitai")
    assert world.civitai.url.endswith(caught.value.refusal.host)
    assert [one.site for one in world.asked] == ["civitai", "hub", "storage"] * 2
    assert [one.authorization is None for one in world.asked[:3]] == [False, True, True]


def test_an_endpoint_that_the_user_named_is_the_only_one(world: World, net: Net):
    with pytest.raises(Refused):
        net.json("https://civitai.com/api/v1/models/9", provider="civitai")
    assert [one.site for one in world.asked] == ["civitai"]


# -- threads and cancelling --------------------------------------------------------------------------------------------


def test_threads_share_one_net(world: World, net: Net):
    world.add_version(1, 2, [b"x"])
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(net.json(MODEL, provider="civitai")["id"])) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 16


def test_one_connection_serves_many_questions(world: World, net: Net, monkeypatch):
    from world.serving import Site

    made = []
    accept = Site.process_request
    monkeypatch.setattr(Site, "process_request", lambda self, *words: (made.append(self.name), accept(self, *words))[1])
    world.add_version(1, 2, [b"x"])
    for _ in range(5):
        net.json(MODEL, provider="civitai")
    world.fault("GET civitai", faults.redirect(MODEL.replace("https://civitai.com", world.civitai.url)))
    net.json(MODEL, provider="civitai")
    assert made == ["civitai"]


@pytest.mark.parametrize("what", ["silence", "wait", "body", "bytes"])
def test_cancelling_does_not_wait_for_the_server(world: World, what: str):
    url = world.add_file("a.json", b'{"a": 1}' + b" " * 100_000)
    fault = {"silence": faults.late(60), "wait": faults.status(503, retry_after=200)}.get(
        what, faults.stall(after=1000)
    )
    world.fault("GET storage", fault, times=None)
    job = Job("test")
    threading.Timer(0.3, job.cancel).start()
    before = time.monotonic()
    with Net(lambda _: None) as net, pytest.raises(CancelledError):
        if what != "bytes":
            net.json(url, job=job)
        with net.open(url, job=job) as response:
            try:
                response.raw.read()
            finally:
                job.check()
    assert time.monotonic() - before < 20


def test_a_job_that_was_cancelled_asks_nothing(world: World, net: Net):
    job = Job("test")
    job.cancel()
    with pytest.raises(CancelledError):
        net.json(MODEL, provider="civitai", job=job)
    assert world.asked == []


# -- no address --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a/b", "file:///etc/passwd", "http://", "http://[::1/x", "https://a:b/", "http:/a"]
)
def test_what_is_no_address_is_not_asked(url: str, net: Net):
    with pytest.raises(UsageError, match="no web address"):
        net.json(url)


def test_nobody_listens(net: Net):
    with pytest.raises(UnreachableError, match="no server listens") as caught:
        net.json("http://127.0.0.1:1/x?token=secret")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_name_that_nobody_knows(net: Net):
    with pytest.raises(UnreachableError, match="nope.invalid is known to nobody"):
        net.json("http://nope.invalid/x")


class _Secure(BaseHTTPRequestHandler):
    """`/to?URL` sends there, `/stall` says nothing, all else is a number."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/stall":
            self.server.ended.wait(120)
        goal = self.path.partition("?")[2]
        self.send_response(302 if goal else 200)
        if goal:
            self.send_header("Location", goal)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"1")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *made.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def secure(certificate):
    """The address of a server that speaks https, with a certificate that nobody knows."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Secure)
    server.daemon_threads, server.ended = True, threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.ended.set()
    server.shutdown()
    server.server_close()


def test_a_certificate_of_nobody(net: Net, secure: str):
    with pytest.raises(ProviderError, match="certificate that cannot be trusted: self-signed") as caught:
        net.json(f"{secure}/x")
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem", "no file of certificates"),
        pytest.param(
            "https_proxy",
            "socks5://u:sEcReT@127.0.0.1:1",
            "SOCKS",
            marks=pytest.mark.skipif(find_spec("socks") is not None, reason="pysocks is installed"),
        ),
        ("https_proxy", "http://u:sEcReT@:1", "address of the proxy"),
    ],
)
def test_a_wrong_setting_of_this_machine_is_told(net: Net, monkeypatch, variable: str, value: str, says: str):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=says) as caught:
        net.json("https://example.org/x")
    assert "sEcReT" not in f"{caught.value!r} {caught.value.hint}"


def test_what_began_safe_stays_safe(world: World, net: Net, secure: str, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    assert net.json(f"{secure}/x") == 1
    assert net.json(f"{secure}/to?{secure}/x") == 1
    with pytest.raises(ProviderError, match="anyone on the way could read and change it"):
        net.json(f"{secure}/to?{world.add_file('a.json', b'2')}")
    assert world.asked == []
    world.fault("GET storage", faults.redirect(f"{secure}/x"))
    assert net.json(world.add_file("a.json", b"2")) == 1


def test_cancelling_cuts_a_secure_line_too(secure: str, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    job = Job("test")
    threading.Timer(0.3, job.cancel).start()
    before = time.monotonic()
    with Net(lambda _: None) as net, pytest.raises(CancelledError):
        net.json(f"{secure}/stall", job=job)
    assert time.monotonic() - before < 20


def test_https_to_a_server_without_it(world: World, net: Net):
    with pytest.raises(UnreachableError, match="does not speak https"):
        net.json(world.civitai.url.replace("http://", "https://"))


def test_a_proxy_that_is_not_there(net: Net, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    with pytest.raises(UnreachableError, match="The proxy on the way to example.org does not answer") as caught:
        net.json("http://example.org/x")
    assert "HTTPS_PROXY" in caught.value.hint and "secret" not in f"{caught.value!r} {caught.value.hint}"


def test_a_proxy_is_used(world: World, net: Net, monkeypatch):
    monkeypatch.setenv("http_proxy", world.storage.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Refused):
        net.json("http://example.org/x")
    assert world.asked[0].target == "http://example.org/x"
