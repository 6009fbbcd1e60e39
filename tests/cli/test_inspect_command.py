"""`modelhub inspect`: verdict and exit code, what a person reads and a script parses, and that no file reaches either."""

from __future__ import annotations

import json
import os
import pty
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: Everything that a terminal must not get: escape codes, a title, a bidi override, line breaks, markup.
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202eb\r\n\x9b31m[red]c[/red]"
UNSEEN = {char for char in HOSTILE if not char.isprintable()} - {"\n"}


class Runs:
    """Has the shell run a command, in programs that load it."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    import torch

    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"w": torch.ones(2, 3)}, "x": Runs(f"touch {tmp_path / 'marker'}")}, path)
    return path


def many(path: Path, count: int) -> Path:
    """A safetensors file of so many tensors of one byte each."""
    rows = (f'"t.{n}.weight":{{"dtype":"U8","shape":[1],"data_offsets":[{n},{n + 1}]}}' for n in range(count))
    text = ("{" + ",".join(rows) + "}").encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(count))
    return path


def test_a_safe_file(run, demo_library):
    path = next(demo_library.folder.rglob("tiny-shapes-base.safetensors"))
    shown = run("inspect", path)
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0] == str(path)
    assert lines[1].startswith("safe: ")
    assert any("SD 1.x checkpoint" in line for line in lines)
    assert any(line.startswith("denoiser") and "model.diffusion_model." in line for line in lines)
    data = run("inspect", path, "--json").json
    assert (data["format"], data["verdict"], data["tensors"], data["findings"]) == ("safetensors", "safe", 965, [])
    assert data["kind"] == "checkpoint"


def test_a_dangerous_file_is_told_in_full_with_exit_code_3(run, evil, tmp_path):
    shown = run("inspect", evil)
    assert shown.code == 3
    assert shown.out.splitlines()[1].startswith("dangerous: ")
    assert "touch" in shown.out
    assert "dangerous  posix.system" in shown.out
    answer = run("inspect", evil, "--json")
    assert answer.code == 3
    data = answer.json
    assert (data["format"], data["verdict"], data["tensors"]) == ("pickle", "dangerous", 1)
    assert [one["level"] for one in data["findings"]][:2] == ["danger", "danger"]
    assert data["globals"][0]["module"] == "posix"
    assert not (tmp_path / "marker").exists()


def test_a_suspicious_file_exits_with_0(run, make_file):
    path = make_file("a.safetensors", {"../x": np.zeros(1, np.float32)})
    shown = run("inspect", path)
    assert (shown.code, shown.out.splitlines()[1].partition(":")[0]) == (0, "suspicious")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", bytes(5000)])
def test_what_is_no_model_is_an_error_with_exit_code_3(run, tmp_path, content):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    shown = run("inspect", path)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err.startswith("error: ")
    answer = run("inspect", path, "--json")
    assert (answer.code, answer.error["code"]) == (3, "not-a-model" if content else "corrupt-file")


def test_what_is_not_there_is_not_found(run, tmp_path):
    assert run("inspect", tmp_path / "none.ckpt", "--json").error["code"] == "not-found"
    assert run("inspect", "no such asset").code == 2
    assert run("inspect").code == 2


def test_several_files_are_all_answered(run, evil, make_file, tmp_path):
    good = make_file("good.safetensors", {"a": np.zeros(1, np.float32)})
    (tmp_path / "page.ckpt").write_bytes(b"<!DOCTYPE html>")
    answer = run("inspect", good, tmp_path / "page.ckpt", evil, "--json")
    assert answer.code == 3
    assert [one.get("verdict") or one["error"]["code"] for one in answer.json] == ["safe", "not-a-model", "dangerous"]
    shown = run("inspect", good, evil)
    assert shown.code == 3
    assert [line for line in shown.out.splitlines() if line in (str(good), str(evil))] == [str(good), str(evil)]


def test_an_asset_of_the_catalog_goes_by_its_name(run, library):
    data = run("inspect", "tiny-shapes-base", "--json").json
    assert Path(data["path"]).name == "tiny-shapes-base.safetensors"


def test_tensors_are_listed_in_the_order_of_the_file(run, make_file):
    tensors = {"b.attn.weight": np.zeros((2, 3), np.float16), "a.weight": np.zeros(4, np.float32)}
    tensors["scalar"] = np.array(1, np.float32)
    path = make_file("a.safetensors", tensors)
    shown = run("inspect", path, "--tensors")
    assert [line.split() for line in shown.out.splitlines()] == [
        ["dtype", "shape", "bytes", "tensor"],
        ["F32", "4", "16", "a.weight"],
        ["F32", "scalar", "4", "scalar"],
        ["F16", "2×3", "12", "b.attn.weight"],
    ]
    assert run("inspect", path, "--tensors", "ATTN").out.splitlines()[1:] == shown.out.splitlines()[3:]
    assert run("inspect", "--tensors", path).out == shown.out
    data = run("inspect", path, "--tensors", "*.weight", "--json").json
    assert data["tensors"] == 3
    assert data["tensor_list"] == [
        {"name": "a.weight", "dtype": "F32", "shape": [4], "bytes": 16},
        {"name": "b.attn.weight", "dtype": "F16", "shape": [2, 3], "bytes": 12},
    ]


def test_a_pattern_that_fits_nothing_is_said(run, make_file):
    shown = run("inspect", make_file("a.safetensors", {"a": np.zeros(1)}), "--tensors", "zzz")
    assert (shown.code, len(shown.out.splitlines())) == (0, 1)
    assert "none of 1 tensor" in shown.err


def test_a_listing_says_that_a_file_is_dangerous(run, evil):
    shown = run("inspect", evil, "--tensors")
    assert shown.code == 3
    assert shown.out.splitlines()[1].split() == ["F32", "2×3", "24", "w"]
    assert "dangerous" in shown.err


def test_long_names_are_whole_in_a_listing(run, tmp_path):
    path = many(tmp_path / "a.safetensors", 1200)
    lines = run("inspect", path, "--tensors").out.splitlines()
    assert len(lines) == 1201
    assert lines[-1].split()[-1] == "t.1199.weight"


def test_one_value_of_the_metadata_goes_out_as_it_is(run, make_file):
    value = HOSTILE + "\n" + "x" * 5000
    path = make_file("a.safetensors", {"a": np.zeros(1)}, {"key": value, "other": "1"})
    assert run("inspect", path, "--metadata", "key").out == value
    assert run("inspect", path, "--metadata", "key", "--json").json["value"] == value
    missing = run("inspect", path, "--metadata", "nope")
    assert missing.code == 2
    assert "key" in missing.err
    assert run("inspect", path, path, "--metadata", "key").code == 2


def test_long_values_are_cut_with_their_length(run, make_file):
    path = make_file("a.safetensors", {"a": np.zeros(1)}, {"key": "x" * 5000, "short": "yes"})
    out = run("inspect", path).out
    assert "(5,000 characters)" in out
    assert "x" * 200 not in out
    assert run("inspect", path, "--json").json["metadata"] == {"key": "x" * 5000, "short": "yes"}


def hostile_safetensors(folder: Path, make_file: Any) -> Path:
    return make_file(folder / "h.safetensors", {HOSTILE: np.zeros(1, np.float32)}, {HOSTILE: HOSTILE})


def hostile_pickle(folder: Path, make_file: Any) -> Path:
    import torch

    path = folder / "h.ckpt"
    torch.save({HOSTILE: torch.ones(1), "x": Runs(HOSTILE), "name": HOSTILE}, path)
    return path


def hostile_gguf(folder: Path, make_file: Any) -> Path:
    def text(word: str) -> bytes:
        return struct.pack("<Q", len(word.encode())) + word.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text(HOSTILE) + struct.pack("<I", 8) + text(HOSTILE)
    head += text(HOSTILE) + struct.pack("<IQIQ", 1, 1, 0, 0)
    path = folder / "h.gguf"
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(4))
    return path


def hostile_folder(folder: Path, make_file: Any) -> Path:
    index = {"_class_name": HOSTILE, "unet": [HOSTILE, HOSTILE]}
    make_file(folder / "d" / "unet" / "diffusion_pytorch_model.safetensors", {HOSTILE: np.zeros(1, np.float32)})
    (folder / "d" / "model_index.json").write_text(json.dumps(index))
    return folder / "d"


def hostile_path(folder: Path, make_file: Any) -> Path:
    return make_file(folder / f"{HOSTILE.replace('/', '')}.safetensors", {"a": np.zeros(1)})


@pytest.mark.parametrize("make", [hostile_safetensors, hostile_pickle, hostile_gguf, hostile_folder, hostile_path])
@pytest.mark.parametrize("options", [(), ("--tensors",), ("--json",), ("--tensors", "--json")])
def test_nothing_in_a_file_reaches_the_terminal(run, tmp_path, make_file, make, options):
    """Control characters are escaped everywhere, and every line is one of ours."""
    shown = run("inspect", make(tmp_path, make_file), *options)
    assert not UNSEEN & {*shown.out, *shown.err}
    assert not any(line.lstrip().startswith(("31m", "\\x9b31m")) for line in shown.out.splitlines())


def test_a_terminal_gets_lines_that_fit_and_short_lists(tmp_path, spawn, evil):
    """At 80 columns, with more names than a terminal is given."""
    import torch

    names = [type(f"Class{n}", (), {"__module__": "__main__"}) for n in range(60)]
    path = tmp_path / "many.ckpt"
    import __main__

    for one in names:
        setattr(__main__, one.__name__, one)
    try:
        torch.save({"w": torch.ones(1), "x": [one() for one in names]}, path)
    finally:
        for one in names:
            delattr(__main__, one.__name__)
    main, side = pty.openpty()
    process = spawn("inspect", path, env={"COLUMNS": "80", "TERM": "dumb"}, stdout=side)
    os.close(side)
    out = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        out += piece
    os.close(main)
    assert process.wait(timeout=60) == 0
    lines = out.decode().splitlines()
    assert all(len(line) <= 80 for line in lines[1:])
    assert sum(line.startswith("unknown") for line in lines) == 40
    assert any("more, see --json" in line for line in lines)


def test_it_starts_without_heavy_libraries(evil):
    code = (
        "import sys; from modelhub.cli.console import main; main(['inspect', sys.argv[1]]);"
        "print(*{'torch', 'numpy', 'diffusers', 'transformers', 'textual', 'PIL'} & set(sys.modules), sep=',')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(evil)], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "", done.stderr
