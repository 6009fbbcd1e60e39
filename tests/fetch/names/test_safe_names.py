"""Names from servers become names that every system can hold, and that lead to no other folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelhub.fetch.names.safe import distinct, folded, safe_name, safe_path, unused, with_suffix_of

#: Texts with everything that has ever been used against names, halves of characters included.
_NASTY = st.text(st.sampled_from('aé你 .-_/\\:*?"<>|\0\n\x7f\u202e\u200b\ud800\U0001f600~$con.NUL'), max_size=40)
_ANY = st.text(max_size=300) | _NASTY


@given(_ANY)
@example("../../etc/passwd")
@example("CON.safetensors")
@example("a" * 400 + ".safetensors")
@example("💾" * 200 + ".ckpt")
@example("e\u200d\u0301")
@example("\ud800")
@example("com¹.txt")
def test_a_safe_name_is_one_everywhere(tmp_path_factory: pytest.TempPathFactory, text: str):
    name = safe_name(text)
    assert name == safe_name(name)
    assert 0 < len(name.encode()) <= 255
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|\0')
    assert name[0] not in ".- "
    assert name[-1] not in ". "
    assert PurePosixPath(name).name == name == PureWindowsPath(name).name
    assert not PureWindowsPath(name).is_reserved()


@given(_ANY)
def test_the_disk_takes_it_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str):
    folder = tmp_path_factory.mktemp("names")
    (folder / safe_name(text)).write_bytes(b"")
    assert [path.name for path in folder.iterdir()] == [safe_name(text)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Juggernaut XL v9 (fp16).safetensors", "Juggernaut XL v9 (fp16).safetensors"),
        ("动漫 風格_v1.5.safetensors", "动漫 風格_v1.5.safetensors"),
        ("a/b\\c.safetensors", "a_b_c.safetensors"),
        ("../../.bashrc", "bashrc"),
        ("--force.ckpt", "force.ckpt"),
        ("_underscore.ckpt", "_underscore.ckpt"),
        ("name.\u202egpj.safetensors", "name.gpj.safetensors"),
        ("  two\n lines\t.pt. ", "two lines .pt"),
        ("nul", "_nul"),
        ("AUX.safetensors", "_AUX.safetensors"),
        ("auxiliary.safetensors", "auxiliary.safetensors"),
        ("C:\\models\\x.ckpt", "C_models_x.ckpt"),
        ("", "given"),
        ("...", "given"),
        ("\u200b\u200b", "given"),
    ],
)
def test_what_looks_the_same_stays(text: str, name: str):
    assert safe_name(text, "given") == name


def test_a_long_name_keeps_its_suffix():
    name = safe_name("ж" * 300 + ".safetensors")
    assert name.endswith("ж.safetensors")
    assert 200 < len(name.encode()) <= 255


def test_a_fallback_that_is_none_itself_ends_in_a_word():
    assert safe_name("", "..") == "model"


@given(st.lists(_ANY, min_size=1, max_size=12))
def test_two_files_never_get_one_name(texts: list[str]):
    taken: set[str] = set()
    for text in texts:
        name = distinct(safe_name(text), taken)
        assert folded(name) not in taken
        assert name == safe_name(name)
        taken.add(folded(name))


def test_case_and_composition_do_not_make_two_names(tmp_path: Path):
    (tmp_path / "Modèle.safetensors").write_bytes(b"")
    found = unused(tmp_path / "MODE\u0300LE.safetensors")
    assert found.name == "MODÈLE (2).safetensors" or found.name == "MODE\u0300LE (2).safetensors"
    assert unused(tmp_path / "other.safetensors") == tmp_path / "other.safetensors"


@given(_ANY)
@example("unet/../../x")
@example("/etc/passwd")
@example("..\\..\\x")
def test_a_safe_path_stays_below(text: str):
    parts = safe_path(text).split("/")
    assert all(part == safe_name(part) for part in parts)
    assert not Path(safe_path(text)).is_absolute()
    assert os.path.normpath(safe_path(text)) == safe_path(text)


def test_a_path_in_a_repository_stays_as_it_is():
    for path in ("unet/diffusion_pytorch_model.fp16.safetensors", "model_index.json", "text_encoder_2/config.json"):
        assert safe_path(path) == path


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("mine", "mine.safetensors"),
        ("mine.safetensors", "mine.safetensors"),
        ("mine v1.5", "mine v1.5.safetensors"),
        ("mine.SFT", "mine.SFT"),
    ],
)
def test_a_users_name_gets_the_suffix_that_it_lacks(said: str, name: str):
    assert with_suffix_of(said, "theirs.safetensors") == name
