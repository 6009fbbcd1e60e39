"""Tokens: where they are found, kept and forgotten, by real files and a keyring that works, breaks or lies."""

from __future__ import annotations

import os
import stat
import sys
import threading
import tomllib
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as Fail
from keyring.backends.null import Keyring as Null
from keyring.errors import KeyringLocked, PasswordDeleteError

from modelhub.errors import CorruptFileError, ForbiddenError, ModelhubError, UsageError
from modelhub.fetch import tokens
from modelhub.fetch.net import Net
from modelhub.jobs import Job

SECRET = "sEcReT-0123456789"


class Ring(KeyringBackend):
    """A keyring in memory; `broken` is raised by every call of a method that it names."""

    priority = 5  # type: ignore[assignment]
    name = "Test Keyring"

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}
        self.broken: dict[str, Exception] = {}
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        self._break("get")
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._break("set")
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._break("delete")
        if (service, username) not in self.held:
            raise PasswordDeleteError("No such password!")
        del self.held[service, username]

    def _break(self, name: str) -> None:
        if name in self.broken:
            raise self.broken[name]


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    before = keyring.get_keyring()
    keyring.set_keyring(Null())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def ring():
    made = Ring()
    keyring.set_keyring(made)
    return made


# -- the environment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        ("civitai", ["CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"]),
        ("huggingface", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]),
    ],
)
def test_the_first_variable_that_is_set_counts(monkeypatch, provider: str, names: list[str]):
    assert tokens.token_of(provider) is None
    for name in reversed(names):
        monkeypatch.setenv(name, f" {name.lower()}\n")
        assert tokens.token_of(provider) == name.lower()
    monkeypatch.setenv(names[0], " ")
    assert tokens.token_of(provider) == names[1].lower()


def test_the_web_has_no_token(monkeypatch):
    monkeypatch.setenv("CIVITAI_TOKEN", SECRET)
    assert tokens.token_of("web") is None


@pytest.mark.parametrize(
    "word", [f"{SECRET} x", f"{SECRET}\n{SECRET}", f"{SECRET}\x1b[0m", f"{SECRET}é", SECRET * 1000]
)
def test_what_cannot_be_a_token_is_refused_and_not_shown(monkeypatch, word: str):
    monkeypatch.setenv("CIVITAI_TOKEN", word)
    with pytest.raises(UsageError, match="the variable CIVITAI_TOKEN holds is no token") as caught:
        tokens.token_of("civitai")
    assert SECRET not in f"{caught.value!r} {caught.value.hint}"


# -- the file ----------------------------------------------------------------------------------------------------------


def test_without_a_keyring_a_private_file_keeps_tokens(home: Path):
    kept = tokens.keep("civitai", f"  {SECRET}\n")
    assert (kept.kind, kept.place, kept.troubles) == ("file", str(home / "tokens.toml"), ())
    tokens.keep("huggingface", "hf_other")
    assert stat.S_IMODE((home / "tokens.toml").stat().st_mode) == 0o600
    assert tomllib.loads((home / "tokens.toml").read_text()) == {"civitai": SECRET, "huggingface": "hf_other"}
    assert (tokens.token_of("civitai"), tokens.token_of("huggingface")) == (SECRET, "hf_other")
    assert [path.name for path in home.iterdir()] == ["tokens.toml"]


def test_the_file_is_private_from_its_first_byte(home: Path, monkeypatch):
    """What is written goes to a new file that nobody else could have opened; the umask makes no difference."""
    seen = []
    write = os.fdopen

    def look(descriptor: int, *words, **named):
        seen.append((stat.S_IMODE(os.fstat(descriptor).st_mode), os.fstat(descriptor).st_size))
        return write(descriptor, *words, **named)

    monkeypatch.setattr(os, "fdopen", look)
    before = os.umask(0)
    try:
        tokens.keep("civitai", SECRET)
    finally:
        os.umask(before)
    assert seen == [(0o600, 0)]


def test_a_write_that_fails_leaves_the_old_file(home: Path, monkeypatch):
    tokens.keep("civitai", "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ModelhubError) as caught:
        tokens.keep("civitai", SECRET)
    assert SECRET not in repr(caught.value)
    assert tokens.token_of("civitai") == "old"
    assert [path.name for path in home.iterdir()] == ["tokens.toml"]


def test_who_keeps_a_token_waits_for_another_that_does(home: Path):
    """The file is read and written anew: what comes in between would be lost."""
    fcntl = pytest.importorskip("fcntl")
    tokens.keep("civitai", "old")
    folder = os.open(home, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    late = threading.Thread(target=tokens.keep, args=("huggingface", "hf_other"))
    late.start()
    late.join(0.3)
    assert late.is_alive()
    (home / "tokens.toml").write_text(f'civitai = "{SECRET}"\n')
    os.close(folder)
    late.join(20)
    assert tomllib.loads((home / "tokens.toml").read_text()) == {"civitai": SECRET, "huggingface": "hf_other"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o660, 0o610])
def test_a_file_that_others_can_use_is_refused(home: Path, mode: int):
    tokens.keep("civitai", SECRET)
    (home / "tokens.toml").chmod(mode)
    for act in (lambda: tokens.token_of("civitai"), lambda: tokens.keep("civitai", "new")):
        with pytest.raises(ForbiddenError) as caught:
            act()
        assert f"chmod 600 '{home / 'tokens.toml'}'" in caught.value.hint
    (home / "tokens.toml").chmod(0o600)
    assert tokens.token_of("civitai") == SECRET


def test_a_variable_spares_the_file(home: Path, monkeypatch):
    tokens.keep("civitai", SECRET)
    (home / "tokens.toml").chmod(0o644)
    monkeypatch.setenv("CIVITAI_TOKEN", "other")
    assert tokens.token_of("civitai") == "other"


@pytest.mark.parametrize(
    "text", [f"civitai = {SECRET}", f'civitai = ["{SECRET}"]', f"\udcff{SECRET}", f'[civitai]\nx = "{SECRET}"']
)
def test_a_file_that_is_no_list_of_tokens_is_told_and_not_shown(home: Path, text: str):
    home.mkdir()
    (home / "tokens.toml").write_bytes(text.encode(errors="surrogateescape"))
    (home / "tokens.toml").chmod(0o600)
    with pytest.raises(CorruptFileError) as caught:
        tokens.token_of("civitai")
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__} {caught.value.__context__}"


def test_a_link_to_the_file_stays_a_link(home: Path, tmp_path: Path):
    home.mkdir()
    (home / "tokens.toml").symlink_to(tmp_path / "elsewhere.toml")
    tokens.keep("civitai", SECRET)
    assert (home / "tokens.toml").is_symlink() and SECRET in (tmp_path / "elsewhere.toml").read_text()
    assert tokens.token_of("civitai") == SECRET


def test_a_pipe_in_its_place_is_not_waited_for(home: Path):
    home.mkdir()
    os.mkfifo(home / "tokens.toml", 0o600)
    with pytest.raises(ModelhubError, match="pipe"):
        tokens.token_of("civitai")


# -- the keyring -------------------------------------------------------------------------------------------------------


def test_a_keyring_keeps_tokens_and_no_file_does(ring: Ring, home: Path):
    keyring.set_keyring(Null())
    tokens.keep("civitai", "old")
    keyring.set_keyring(ring)
    assert tokens.place_to_keep().place == "the keyring (Test Keyring)"
    kept = tokens.keep("civitai", SECRET)
    assert (kept.kind, kept.place, kept.troubles) == ("keyring", "the keyring (Test Keyring)", ())
    assert ring.held == {("modelhub", "civitai"): SECRET}
    assert tokens.token_of("civitai") == SECRET
    assert not (home / "tokens.toml").exists()


@pytest.mark.parametrize("backend", [Fail, Null])
def test_what_stands_in_for_a_keyring_keeps_nothing(backend, home: Path):
    keyring.set_keyring(backend())
    assert tokens.keep("civitai", SECRET).kind == "file"
    assert tokens.find("civitai")[1] == ()


def test_a_backend_of_no_priority_keeps_nothing(ring: Ring, monkeypatch):
    monkeypatch.setattr(Ring, "priority", 0)
    assert tokens.keep("civitai", SECRET).kind == "file" and ring.held == {}


def test_without_the_library_there_is_a_file(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert tokens.keep("civitai", SECRET).kind == "file"
    assert tokens.token_of("civitai") == SECRET


@pytest.mark.parametrize(
    "error", [KeyringLocked("Failed to unlock"), RuntimeError("no D-Bus"), OSError(5, "gone"), AttributeError("x")]
)
def test_a_keyring_in_trouble_is_told_and_the_file_takes_its_place(ring: Ring, error: Exception):
    ring.broken = {"get": error, "set": error, "delete": error}
    kept = tokens.keep("civitai", SECRET)
    assert kept.kind == "file" and type(error).__name__ in kept.troubles[0]
    found, troubles = tokens.find("civitai")
    assert found is not None and (found.kind, found.token) == ("file", SECRET)
    assert len(troubles) == 1 and type(error).__name__ in troubles[0]
    ring.broken = {}
    assert tokens.token_of("civitai") == SECRET


def test_trouble_does_not_show_the_token(ring: Ring):
    ring.broken = {"set": RuntimeError(f"cannot keep {SECRET}")}
    assert tokens.keep("civitai", SECRET).troubles == (
        "The keyring did not take the token (RuntimeError: cannot keep ***).",
    )


def test_a_keyring_that_forgets_at_once_is_noticed(ring: Ring, monkeypatch):
    monkeypatch.setattr(Ring, "set_password", lambda *words: None)
    assert tokens.keep("civitai", SECRET).kind == "file"
    assert tokens.token_of("civitai") == SECRET


def test_an_old_token_in_the_keyring_does_not_count_before_a_new_one_in_the_file(ring: Ring):
    ring.held["modelhub", "civitai"] = "old"
    ring.broken = {"set": KeyringLocked("locked")}
    assert tokens.keep("civitai", SECRET).kind == "file"
    assert tokens.token_of("civitai") == SECRET and ring.held == {}


def test_a_variable_spares_the_keyring(ring: Ring, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert tokens.token_of("huggingface") == SECRET and ring.asked == 0


def test_a_token_that_is_given_comes_first_and_hides_no_trouble_of_others(ring: Ring):
    ring.broken = {"get": KeyringLocked("locked")}
    said: list[str] = []
    job = Job("test", lambda event: said.append(event.item))
    with Net(given={"huggingface": SECRET}) as net:
        assert net.token("huggingface", job) == SECRET
        assert said == [] and ring.asked == 0
        assert net.token("civitai", job) is None
    assert said == ["The keyring could not be read (KeyringLocked: locked)."]
    with (
        Net(given={"huggingface": "two words"}) as net,
        pytest.raises(UsageError, match="Hugging Face holds characters"),
    ):
        net.token("huggingface", job)


def test_a_net_asks_the_keyring_once_and_tells_its_trouble(world, ring: Ring):
    ring.broken = {"get": KeyringLocked("locked")}
    said: list[str] = []
    job = Job("test", lambda event: said.append(f"{event.level}: {event.item}"))
    world.add_version(1, 2, [b"x"])
    with Net() as net:
        for _ in range(3):
            net.json("https://civitai.com/api/v1/models/1", provider="civitai", signed=True, job=job)
    assert ring.asked == 1
    assert said == ["warning: The keyring could not be read (KeyringLocked: locked)."]


# -- Hugging Face's own ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "home"])
def test_what_hugging_faces_tools_kept_is_found(tmp_path: Path, monkeypatch, how: str):
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = {
        "HF_TOKEN_PATH": "t",
        "HF_HOME": "h/token",
        "XDG_CACHE_HOME": "x/huggingface/token",
        "home": ".cache/huggingface/token",
    }[how]
    if how != "home":
        monkeypatch.setenv(
            how, {"HF_TOKEN_PATH": "~/t", "HF_HOME": "$HOME/h", "XDG_CACHE_HOME": str(tmp_path / "x")}[how]
        )
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(f"{SECRET}\n")
    found, _ = tokens.find("huggingface")
    assert found is not None and (found.kind, found.place, found.token) == ("huggingface", str(tmp_path / path), SECRET)
    assert tokens.token_of("civitai") is None


def test_it_is_where_their_own_library_looks(tmp_path: Path):
    import subprocess

    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface/token").write_text(SECRET)
    code = "import huggingface_hub, modelhub.fetch.tokens as t; print(huggingface_hub.get_token(), t.token_of('huggingface'))"
    env = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.split() == [SECRET, SECRET], done.stderr


def test_a_token_of_a_login_by_browser_is_left_to_their_library(tmp_path: Path, monkeypatch):
    import huggingface_hub

    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface/token").write_text("old")
    (tmp_path / "huggingface/stored_tokens").write_text("[a]\nhf_token = old\nrefresh_token = r\nexpires_at = 1\n")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "fresh")
    assert tokens.token_of("huggingface") == "fresh"


def test_ours_counts_before_theirs(tmp_path: Path):
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface/token").write_text("theirs")
    tokens.keep("huggingface", "ours")
    found, _ = tokens.find_all("huggingface")
    assert [(one.kind, one.token) for one in found] == [("file", "ours"), ("huggingface", "theirs")]


# -- forgetting --------------------------------------------------------------------------------------------------------


def test_forgetting_empties_both_stores_and_tells_what_is_left(ring: Ring, home: Path, monkeypatch):
    keyring.set_keyring(Null())
    tokens.keep("civitai", "in-the-file")
    tokens.keep("huggingface", "stays")
    keyring.set_keyring(ring)
    ring.held = {("modelhub", "civitai"): SECRET, ("modelhub", "huggingface"): "stays", ("other", "civitai"): "x"}
    monkeypatch.setenv("CIVITAI_API_KEY", "from-the-shell")
    held = dict(ring.held)
    would = tokens.forget("civitai", dry_run=True)
    assert ring.held == held and "civitai" in (home / "tokens.toml").read_text()
    done = tokens.forget("civitai")
    assert would == done
    assert done.places == ("the keyring (Test Keyring)", str(home / "tokens.toml"))
    assert [one.place for one in done.left] == ["the variable CIVITAI_API_KEY"]
    assert set(ring.held) == {("modelhub", "huggingface"), ("other", "civitai")}
    assert tomllib.loads((home / "tokens.toml").read_text()) == {"huggingface": "stays"}
    assert tokens.forget("civitai").places == ()


def test_forgetting_does_not_need_a_good_environment(monkeypatch):
    tokens.keep("civitai", SECRET)
    monkeypatch.setenv("CIVITAI_TOKEN", "no token")
    done = tokens.forget("civitai")
    assert len(done.places) == 1 and "CIVITAI_TOKEN" in done.troubles[0]


def test_forgetting_tells_what_could_not_be_deleted(ring: Ring):
    ring.held["modelhub", "civitai"] = SECRET
    ring.broken = {"delete": KeyringLocked("locked")}
    done = tokens.forget("civitai")
    assert done.places == () and done.troubles == ("The keyring did not delete the token (KeyringLocked: locked).",)


@pytest.mark.parametrize(
    "act", [lambda: tokens.keep("web", SECRET), lambda: tokens.forget("web"), lambda: tokens.keep("civitai", "  ")]
)
def test_only_providers_have_tokens(act):
    with pytest.raises(UsageError) as caught:
        act()
    assert SECRET not in repr(caught.value)


def test_no_representation_shows_a_token(monkeypatch):
    monkeypatch.setenv("CIVITAI_TOKEN", SECRET)
    kept = tokens.keep("civitai", SECRET)
    assert SECRET not in f"{tokens.find_all('civitai')!r} {kept!r} {tokens.forget('civitai')!r}"
