"""login and logout: asked for where nobody sees it, checked, kept in private, told without being shown."""

from __future__ import annotations

import io
import os
import pty
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from world import World, faults

TOKEN = "civitai-token-0123456789abcdef"
HF = "hf_0123456789abcdefghijklmnop"


@pytest.fixture
def typed(monkeypatch):
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture(autouse=True)
def _no_keyring():
    import keyring
    from keyring.backends.null import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("provider", "token", "site", "path"),
    [
        ("civitai", TOKEN, "civitai", "/api/v1/me"),
        ("huggingface", HF, "hub", "/api/whoami-v2"),
        ("hf", HF, "hub", "/api/whoami-v2"),
    ],
)
def test_a_token_is_checked_and_kept(world: World, run, typed, home: Path, provider, token, site, path):
    typed(f"  {token} \r\nmore\n")
    done = run("login", provider)
    assert done.code == 0 and token not in done.out + done.err
    assert "it is mara's" in done.out and str(home / "tokens.toml") in done.out
    (asked,) = world.asked
    assert (asked.site, asked.path, asked.authorization) == (site, path, f"Bearer {token}")
    assert token in (home / "tokens.toml").read_text()
    assert stat.S_IMODE((home / "tokens.toml").stat().st_mode) == 0o600


def test_json_says_who_and_where(world: World, run, typed, home: Path):
    typed(TOKEN)
    done = run("login", "civitai", "--json")
    assert done.json == {
        "provider": "civitai",
        "user": "mara",
        "checked": True,
        "kept": "file",
        "place": str(home / "tokens.toml"),
        "notes": [],
    }


def test_a_dry_run_checks_and_keeps_nothing(world: World, run, typed, home: Path):
    typed(TOKEN)
    done = run("login", "civitai", "--dry-run", "--json")
    assert (done.json["user"], done.json["kept"], done.json["place"]) == ("mara", None, str(home / "tokens.toml"))
    assert not home.exists()


def test_a_token_that_the_provider_does_not_know_is_not_kept(world: World, run, typed, home: Path):
    for provider in ("civitai", "huggingface"):
        typed("sEcReT-unknown")
        done = run("login", provider, "--json")
        assert (done.code, done.error["code"]) == (5, "login-needed")
        assert "does not know this token" in done.error["message"] and "sEcReT" not in done.out + done.err
    assert not home.exists()


def test_unasked_it_is_kept(world: World, run, typed, home: Path):
    typed("anything")
    done = run("login", "civitai", "--no-check", "--json")
    assert (done.json["user"], done.json["checked"], done.json["kept"]) == (None, False, "file")
    assert world.asked == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.status(403, "no"), "token-scope"),
        (faults.html(), "provider"),
        (faults.status(200, {"id": 1}), "provider"),
        (faults.status(200, []), "provider"),
        (faults.status(404), "not-found"),
        (faults.redirect("/login"), "login-needed"),
    ],
)
def test_a_check_that_fails_keeps_nothing(world: World, run, typed, home: Path, fault, code):
    world.fault("GET civitai", fault, times=None)
    typed(TOKEN)
    done = run("login", "civitai", "--json")
    assert done.error["code"] == code and TOKEN not in done.out + done.err
    assert not home.exists()


def test_a_token_without_the_right_to_gated_models_is_told(world: World, run, typed):
    answer = {
        "name": "mara",
        "auth": {"accessToken": {"role": "fineGrained", "fineGrained": {"canReadGatedRepos": False}}},
    }
    world.fault("GET hub", faults.status(200, answer))
    typed(HF)
    assert "does not open gated models" in run("login", "huggingface", "--json").json["notes"][0]


@pytest.mark.parametrize("text", ["", "\n", "   \n"])
def test_nothing_is_no_token(world: World, run, typed, text: str):
    typed(text)
    done = run("login", "civitai", "--json")
    assert (done.code, done.error["message"]) == (2, "No token was given.")


@pytest.mark.parametrize("text", ["sEcReT x", "sEcReT\x1b[2J", "sEcReTé", "sEcReT" * 20_000])
def test_what_cannot_be_a_token_is_refused_and_not_shown(world: World, run, typed, text: str):
    typed(text)
    done = run("login", "civitai")
    assert done.code == 2 and "sEcReT" not in done.out + done.err
    assert world.asked == []


@pytest.mark.parametrize(
    "words",
    [
        ("login", "civitai", "sEcReT"),
        ("login", "sEcReT"),
        ("login",),
        ("logout", "sEcReT"),
        ("logout",),
        ("login", "civitai", "--token", "sEcReT"),
        ("login", "--status", "sEcReT"),
    ],
)
def test_a_token_on_the_command_line_is_refused_and_not_repeated(world: World, run, words):
    done = run(*words)
    assert done.code == 2 and "sEcReT" not in done.out + done.err


def test_a_variable_that_counts_before_it_is_told(world: World, run, typed, monkeypatch):
    monkeypatch.setenv("CIVITAI_API_TOKEN", "other")
    typed(TOKEN)
    assert run("login", "civitai", "--json").json["notes"] == [
        "The token in the variable CIVITAI_API_TOKEN counts before the one that is kept."
    ]
    assert world.asked[0].authorization == f"Bearer {TOKEN}"


def test_status_says_where_and_never_what(world: World, run, typed, monkeypatch, home: Path):
    assert [(row["provider"], row["from"]) for row in run("login", "--status", "--json").json] == [
        ("civitai", None),
        ("huggingface", None),
    ]
    typed(TOKEN)
    run("login", "civitai", "--no-check")
    monkeypatch.setenv("CIVITAI_TOKEN", "sEcReT")
    monkeypatch.setenv("HF_TOKEN", "sEc ReT")
    civitai, hub = run("login", "--status", "--json").json
    assert civitai == {
        "provider": "civitai",
        "from": "environment",
        "place": "the variable CIVITAI_TOKEN",
        "also": [str(home / "tokens.toml")],
        "problems": [],
    }
    assert hub["from"] is None and "HF_TOKEN" in hub["problems"][0]
    shown = run("login", "--status")
    assert "the token comes from the variable CIVITAI_TOKEN" in shown.out and "modelhub login huggingface" in shown.out
    assert not any(word in shown.out for word in ("sEc", TOKEN))
    assert len(run("login", "civitai", "--status", "--json").json) == 1
    assert world.asked == []


def test_logout_deletes_what_login_kept(world: World, run, typed, monkeypatch, home: Path):
    typed(TOKEN)
    run("login", "civitai", "--no-check")
    monkeypatch.setenv("CIVITAI_TOKEN", "other")
    assert run("logout", "civitai", "--dry-run", "--json").json["removed"] == [str(home / "tokens.toml")]
    assert (home / "tokens.toml").exists()
    done = run("logout", "civitai")
    assert not (home / "tokens.toml").exists()
    assert "deleted the token of Civitai" in done.out and "the variable CIVITAI_TOKEN still gives one" in done.out
    assert run("logout", "civitai", "--json").json["removed"] == []
    assert "No token of Civitai was kept" in run("logout", "civitai").out


def test_a_pipe_of_bytes_that_are_no_text(world: World, finish):
    read, write = os.pipe()
    os.write(write, b"\xff\xfe\xfa\n")
    os.close(write)
    done = finish("login", "civitai", "--json", stdin=read)
    os.close(read)
    assert done.code == 2 and done.error["code"] == "usage"


def _on_a_terminal(keys: bytes, *words: str) -> tuple[int, str]:
    """Run a command on a terminal of its own, type `keys` when it asks; exit code and all that the terminal showed."""
    main, side = pty.openpty()
    command = [sys.executable, "-m", "modelhub", *words]
    process = subprocess.Popen(
        command, stdin=side, stdout=side, stderr=side, start_new_session=True, preexec_fn=lambda: _control(side)
    )
    os.close(side)
    shown = b""
    sent = False
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            piece = os.read(main, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if b"not shown" in shown and not sent:
            os.write(main, keys)
            sent = True
    code = process.wait(timeout=60)
    os.close(main)
    return code, shown.decode()


def _control(side: int) -> None:
    import fcntl
    import signal
    import termios

    signal.signal(signal.SIGINT, signal.default_int_handler)
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)


def test_a_terminal_does_not_show_what_is_typed(world: World, home: Path):
    code, shown = _on_a_terminal(f"{TOKEN}\n".encode(), "login", "civitai")
    assert code == 0 and TOKEN not in shown
    assert f"Token of Civitai, made on {world.civitai.url}/user/account" in shown and "mara" in shown
    assert TOKEN in (home / "tokens.toml").read_text()


@pytest.mark.parametrize(("keys", "code"), [(b"\x03", 130), (b"\x04", 2)], ids=["ctrl-c", "ctrl-d"])
def test_a_question_can_be_left(world: World, home: Path, keys: bytes, code: int):
    assert _on_a_terminal(keys, "login", "civitai")[0] == code
    assert not home.exists() and world.asked == []
