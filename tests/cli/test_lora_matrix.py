"""lora check --all, lora check LORA and lora check --for CHECKPOINT, over the demo's library and a few real layouts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelhub.cli.streams import columns
from modelhub.demo.library import Library
from modelhub.text import width

sys.path.append(str(Path(__file__).parents[1] / "catalog"))
from layouts_helper import header, layout

Run = Callable[..., Any]
FRAMED = "tiny-shapes-framed-lora"
BASE = "tiny-shapes-base"


def hollow(path: Path, name: str, metadata: dict[str, str] | None = None) -> Path:
    """A file with the header of a real model and holes for data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = header(layout(name), metadata)
    with path.open("wb") as file:
        file.write(head.encoded)
        file.truncate(head.file_size)
    return path


@pytest.fixture
def mixed(library: Library, tmp_path: Path, run: Run) -> Path:
    """The demo's library, and SDXL with two LoRAs."""
    folder = tmp_path / "more"
    hollow(folder / "xl.safetensors", "sdxl")
    hollow(folder / "pony.safetensors", "lora-sdxl-kohya", {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"})
    hollow(folder / "[red]one.safetensors", "lora-sd15-kohya")
    assert run("scan", folder).code == 0
    return folder


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """stdout as a terminal 48 columns wide."""
    monkeypatch.setattr("modelhub.cli.table.live", lambda stream: True)
    monkeypatch.setattr("modelhub.cli.lora_matrix.live", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "48")


def test_the_matrix_as_json_is_a_list_of_pairs(run: Run, mixed: Path) -> None:
    answer = run("lora", "check", "--all", "--json")
    pairs = answer.json
    assert answer.code == 0 and len(pairs) == 3 * 5
    assert all(list(pair) == ["lora", "checkpoint", "verdict", "reasons"] for pair in pairs)
    found = {(Path(pair["lora"]).stem, Path(pair["checkpoint"]).stem): pair["verdict"] for pair in pairs}
    assert found[FRAMED, BASE] == found[FRAMED, "tiny-shapes-pastel"] == "compatible"
    assert found[FRAMED, "xl"] == found["pony", BASE] == found["[red]one", "xl"] == "incompatible"
    assert found["pony", "xl"] in ("compatible", "caution")
    assert run("lora", "check", "--all", "--json").out == answer.out, "the same when everything is kept"


def test_a_query_chooses_the_loras(run: Run, mixed: Path) -> None:
    stems = [Path(pair["lora"]).stem for pair in run("lora", "check", "--all", "name:pony", "--json").json]
    assert stems == ["pony"] * 5
    others = run("lora", "check", "--all", "kind:embedding", "--json").json
    assert {Path(pair["lora"]).stem for pair in others} == {"sundisc"} and len(others) == 2 * 5
    assert run("lora", "check", "--all", "name:nothing", "--json").json == []
    wrong = run("lora", "check", "--all", "kind:lora", "(")
    assert wrong.code == 2 and "^" in wrong.err


def test_the_matrix_for_people_has_a_sign_for_each_pair_and_says_what_they_mean(run: Run, mixed: Path) -> None:
    lines = run("lora", "check", "--all").out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if re.match(r"(tiny-shapes-framed|pony|\[red\])", line)}
    assert len(rows) == 3
    legend = [line.split()[1] for line in lines if re.match(r" *\d+  ", line)]
    assert legend[0] == f"{BASE}.safetensors" and legend[-1] == "xl.safetensors"
    framed = next(cells for name, cells in rows.items() if name.startswith("tiny"))
    assert framed == ["✓"] * 4 + ["✗"]
    assert "15 pairs: " in lines[-1] and "✓" in lines[-1] and "incompatible" in lines[-1]
    assert "[red]one.safetensors" in rows, "markup is text"


@pytest.mark.usefixtures("terminal")
def test_the_matrix_is_broken_into_blocks_as_wide_as_the_terminal(run: Run, mixed: Path) -> None:
    out = run("lora", "check", "--all").out
    assert max(map(width, out.splitlines())) <= columns(sys.stdout) == 48
    whole = [line for line in out.splitlines() if line.startswith("pony")]
    signs = "".join(re.sub(r"\S*pony\S*|\s", "", line) for line in whole)
    assert len(signs) == 5, "all models, in one block or in several"


def test_one_lora_against_all_models_is_listed_best_first(run: Run, mixed: Path) -> None:
    answer = run("lora", "check", "pony", "--json")
    verdicts = [one["verdict"] for one in answer.json]
    assert answer.code == 0 and len(verdicts) == 5
    assert Path(answer.json[0]["checkpoint"]).stem == "xl" and verdicts[1:] == ["incompatible"] * 4
    assert {"verdict", "base", "counts", "mismatches", "reasons"} <= set(answer.json[0])
    lines = run("lora", "check", "pony").out.splitlines()
    assert lines[0].split() == ["VERDICT", "CHECKPOINT", "ARCH", "WHY"]
    assert "xl.safetensors" in lines[1] and lines[2].startswith("✗")


def test_a_file_that_is_not_in_the_catalog_can_be_checked(run: Run, mixed: Path, tmp_path: Path) -> None:
    stray = hollow(tmp_path / "stray" / "new.safetensors", "lora-sdxl-kohya")
    found = run("lora", "check", stray, "--json").json
    assert found[0]["verdict"] == "compatible" and Path(found[0]["checkpoint"]).stem == "xl"
    model = hollow(tmp_path / "stray" / "model.safetensors", "sdxl")
    fitting = run("lora", "check", "--for", model, "--json").json
    assert Path(fitting[0]["lora"]).stem == "pony"


def test_what_fits_one_model_is_listed_and_what_does_not_is_counted(run: Run, mixed: Path) -> None:
    answer = run("lora", "check", "--for", BASE)
    assert answer.code == 0 and FRAMED in answer.out and "pony" not in answer.out
    assert "2 LoRAs more, not shown" in answer.err
    verdicts = [one["verdict"] for one in run("lora", "check", "--for", BASE, "--json").json]
    assert verdicts == ["compatible", "incompatible", "incompatible"]
    embeddings = run("lora", "check", "--for", BASE, "kind:embedding")
    assert embeddings.out.count("sundisc") == 2 and not embeddings.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--all", "--for", BASE], 2, "two questions"),
        ([BASE], 2, "no LoRA"),
        (["--for", FRAMED], 2, "no checkpoint"),
        (["nobody"], 2, "Nothing is named"),
        (["--for", "nobody"], 2, "Nothing is named"),
    ],
)
def test_mistakes_are_said(run: Run, library: Library, words: list[str], code: int, said: str) -> None:
    answer = run("lora", "check", *words)
    assert (answer.code, answer.out) == (code, "") and said in answer.err
    assert said in run("lora", "check", *words, "--json").error["message"]


def test_an_empty_catalog_says_what_to_do(run: Run) -> None:
    for words in (["--all"], ["--all", "tag:x"]):
        answer = run("lora", "check", *words)
        assert (answer.code, answer.out) == (0, "") and "modelhub scan" in answer.err
    assert run("lora", "check", "--all", "--json").json == []


def test_it_is_quick_to_begin(library: Library) -> None:
    """Neither torch nor numpy is imported for it."""
    code = (
        "import sys; from modelhub.cli.console import main; main(['lora', 'check', '--all']); "
        "print(sorted({'torch', 'numpy', 'safetensors'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().endswith("[]") and "✓" in done.stdout
