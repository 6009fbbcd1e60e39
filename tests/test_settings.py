"""Settings: where home is, what settings.toml may say, and that it survives a round trip."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from modelhub.errors import FileError, UsageError
from modelhub.settings import Settings, home, load_settings, save_settings


def test_home_is_where_the_environment_says(home: Path):
    from modelhub.settings import home as home_of_modelhub

    assert home_of_modelhub() == home
    assert not home.exists(), "asking makes no folder"


def test_home_has_a_default_and_knows_the_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELHUB_HOME", "~/models of mine")
    assert home() == tmp_path / "models of mine"
    monkeypatch.delenv("MODELHUB_HOME")
    assert home().name == "modelhub"


def test_no_file_means_defaults(tmp_path: Path):
    assert load_settings() == load_settings(tmp_path) == Settings()
    assert Settings().workers in range(1, 5)
    assert Settings(threads=7).workers == 7


SETTINGS = st.builds(
    Settings,
    hash=st.sampled_from(["none", "fast", "full"]),
    threads=st.integers(0, 64),
    device=st.sampled_from(["auto", "cpu", "cuda", "mps"]),
    theme=st.text(max_size=20),
    density=st.sampled_from(["compact", "comfortable"]),
    pictures=st.sampled_from(["auto", "blocks", "kitty", "sixel", "off"]),
    preview_steps=st.integers(1, 100),
    preview_prompt=st.text(st.characters(codec="utf-8"), max_size=80),
    download_folder=st.text(max_size=20),
    download_path=st.text(max_size=20),
    download_jobs=st.integers(0, 64),
    download_sidecars=st.sampled_from(["", "civitai-info a1111"]),
    download_previews=st.sampled_from(["safe", "all", "none"]),
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(wanted=SETTINGS)
def test_round_trip(wanted: Settings, tmp_path: Path):
    path = save_settings(wanted, tmp_path / "deep" / "home")
    assert load_settings(path.parent) == wanted
    assert list(path.parent.iterdir()) == [path]


def test_only_what_differs_is_written(home: Path):
    path = save_settings(Settings(hash="full"))
    assert path == home / "settings.toml"
    assert tomllib.loads(path.read_text("utf-8")) == {"hash": "full"}


def test_what_else_stands_in_the_file_stays(tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_text('# mine\nthreads = 0  # all\nfuture = [\n  1,\n]\nhash = "fast"\n\n[later]\nhash = 3\n')
    save_settings(Settings(device="cpu"), tmp_path)
    assert path.read_text() == '# mine\nthreads = 0  # all\nfuture = [\n  1,\n]\n\ndevice = "cpu"\n[later]\nhash = 3\n'
    save_settings(Settings(threads=2), tmp_path)
    assert tomllib.loads(path.read_text()) == {"future": [1], "threads": 2, "later": {"hash": 3}}
    assert path.read_text().startswith("# mine\n")


def test_a_line_in_a_text_of_several_lines_is_no_setting(tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_text('preview_prompt = """\nthreads = 4\nhash = "none"\n"""\nthreads = 3\n')
    save_settings(load_settings(tmp_path)._replace(threads=5), tmp_path)
    assert load_settings(tmp_path) == Settings(preview_prompt='threads = 4\nhash = "none"\n', threads=5)


def test_a_file_that_is_no_toml_is_replaced_when_it_is_written(tmp_path: Path):
    (tmp_path / "settings.toml").write_text("theme = ")
    save_settings(Settings(hash="full"), tmp_path)
    assert load_settings(tmp_path) == Settings(hash="full")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hash = \n", ["not valid TOML", "line 1"]),
        ("a = " + "[" * 100_000, ["not valid TOML"]),
        ("colour = 'red'", ["no setting 'colour'"]),
        ("threads = 'many'", ["'threads' must be int", "'many'"]),
        ("threads = true", ["'threads' must be int", "True"]),
        ("threads = -3", ["'threads' must not be below 0", "-3"]),
        ("hash = 'sha1'", ["'hash' cannot be 'sha1'"]),
        ("device = 'gpu'", ["'device' cannot be 'gpu'"]),
        ("[hash]\nfast = true", ["'hash' must be str"]),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, words: list[str]):
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path)
    assert caught.value.hint
    assert str(tmp_path / "settings.toml") in caught.value.message
    for word in words:
        assert word in caught.value.message


def test_the_hint_lists_what_there_is(tmp_path: Path):
    (tmp_path / "settings.toml").write_text("treads = 2")
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path)
    assert "threads" in caught.value.hint


def test_not_text_and_not_a_file(tmp_path: Path):
    (tmp_path / "settings.toml").write_bytes(b"theme = '\xff'")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_settings(tmp_path)
    (tmp_path / "settings.toml").unlink()
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        load_settings(tmp_path)
    with pytest.raises(FileError):
        save_settings(Settings(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


def test_escape_codes_in_a_value_are_shown_as_text(tmp_path: Path):
    (tmp_path / "settings.toml").write_text('hash = "\\u001b[31m"')
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path)
    assert "\x1b" not in caught.value.message
