"""extra_model_paths.yaml: what ComfyUI would look into, and no harm from files that were made to do some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from own_time import at_most

from modelhub.catalog.extra_paths import MAX_BYTES, extra_folders
from modelhub.errors import CorruptFileError, FileError

EXAMPLE = """
# as it comes with ComfyUI
a111:
    base_path: path/to/stable-diffusion-webui/
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    upscale_models: |
                  models/ESRGAN
                  models/RealESRGAN
    embeddings: embeddings
    controlnet: models/ControlNet

#other_ui:
#    base_path: path/to/ui
empty:
"""


@pytest.fixture
def write(tmp_path: Path):
    def writing(text: str | bytes) -> Path:
        path = tmp_path / "extra_model_paths.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return writing


def test_the_example_of_comfyui(write, tmp_path: Path):
    base = tmp_path / "path/to/stable-diffusion-webui"
    assert extra_folders(write(EXAMPLE)) == [
        ("checkpoint", base / "models/Stable-diffusion"),
        ("lora", base / "models/Lora"),
        ("lora", base / "models/LyCORIS"),
        ("upscaler", base / "models/ESRGAN"),
        ("upscaler", base / "models/RealESRGAN"),
        ("embedding", base / "embeddings"),
        ("controlnet", base / "models/ControlNet"),
    ]


def test_old_names_are_known_and_unknown_ones_are_kept(write, tmp_path: Path):
    found = extra_folders(write("x:\n  unet: a\n  clip: b\n  diffusers: c\n  custom_nodes: d\n"))
    assert found == [
        ("diffusion-model", tmp_path / "a"), ("text-encoder", tmp_path / "b"),
        ("checkpoint", tmp_path / "c"), (None, tmp_path / "d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "folder"),
    [("/data/m", "/data/m/vae"), ("~/m", "/home/me/m/vae"), ("${BIG}/m", "/mnt/m/vae"), ("../m", "{0.parent}/m/vae"),
     ("", "{0}/vae")],
)  # fmt: skip
def test_base_paths(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, folder: str):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("BIG", "/mnt")
    found = extra_folders(write(f"x:\n  base_path: {base}\n  vae: vae\n"))
    assert found == [("vae", Path(folder.format(tmp_path)))]


def test_an_absolute_folder_needs_no_base(write):
    assert extra_folders(write("x:\n  base_path: /a\n  vae: /b/c\n")) == [("vae", Path("/b/c"))]


def test_default_sections_come_first(write, tmp_path: Path):
    found = extra_folders(write("a:\n  vae: one\nb:\n  is_default: true\n  vae: two\nc:\n  vae: three\n"))
    assert [path.name for _, path in found] == ["two", "one", "three"]


def test_one_anchor_for_several_sections_is_fine(write):
    found = extra_folders(write("a:\n  base_path: &b /data\n  vae: v\nb:\n  base_path: *b\n  loras: l\n"))
    assert found == [("vae", Path("/data/v")), ("lora", Path("/data/l"))]


@pytest.mark.parametrize("text", ["", "# nothing\n", "\ufeff# nothing\n", "a:\n", "a: ~\n", "a: {}\n"])
def test_nothing_is_nothing(write, text: str):
    assert extra_folders(write(text)) == []


def _bomb(value: str) -> str:
    lines = ["a0: &a0 " + value]
    lines += [f"a{i}: &a{i} " + "{<<: [" + ",".join([f"*a{i - 1}"] * 9) + "]}" for i in range(1, 60)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- b\n", "line 1"),
        ("words", "line 1"),
        ("a: b\n", "'a'"),
        ("a:\n  vae: [x, y]\n", "'vae' of section 'a'"),
        ("a:\n  vae: {x: y}\n", "'vae' of section 'a'"),
        ("a:\n  [1]: y\n", "line 2"),
        ("a: [\n", "not valid YAML"),
        ("a:\n\tvae: x\n", "in line 2"),
        ("a: *b\n", "undefined alias"),
        (_bomb("{x: y}"), "section 'a1'"),
        (_bomb("[x, x, x]"), "section 'a0'"),
        ("[" * 30_000, "nested too deeply"),
        ("{" * 30_000, "nested too deeply"),
        ("- " * 15_000, "nested too deeply"),
        ("a:\n  vae: \"x\\0y\"\n", "no file system"),
        ("a:\n  vae: \"\\ud800\"\n", "no file system"),
        ("x" * (MAX_BYTES + 1), "too many"),
        (b"\x00\x01\x02", "not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_once(write, text: str | bytes, says: str):
    with at_most(5):
        with pytest.raises(FileError, match=r".") as caught:
            extra_folders(write(text))
        assert says in caught.value.message
        assert caught.value.hint


def test_no_tag_is_obeyed(write, tmp_path: Path):
    marker = tmp_path / "marker"
    call = f"!!python/object/apply:os.system ['touch {marker}']"
    with pytest.raises(CorruptFileError):
        extra_folders(write(f"a: {call}\n"))
    with pytest.raises(CorruptFileError):
        extra_folders(write(f"a:\n  vae: {call}\n"))
    assert not marker.exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(FileError, match="pipe"):
        extra_folders(tmp_path / "pipe.yaml")
    with pytest.raises(FileError, match="does not exist"):
        extra_folders(tmp_path / "gone.yaml")


@pytest.mark.parametrize("base", ["~a\\0b", "~\\uD800", "\\uD800", "$HOME" * 6000, "x" * 5000])
def test_a_base_path_that_cannot_be_is_said_and_not_looked_up(write, base: str):
    with at_most(1), pytest.raises(FileError, match="no file system can have"):
        extra_folders(write(f'a: {{base_path: "{base}", loras: x}}'))


def test_a_letter_beyond_all_letters_is_no_yaml(write):
    with pytest.raises(CorruptFileError, match="not valid YAML"):
        extra_folders(write('"\\UFFFFFFFF": {loras: x}'))
