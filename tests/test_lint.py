"""ruff and mypy have nothing to say about the whole checkout."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Python scripts without a suffix, which ruff would not find by itself.
SCRIPTS = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "scripts").iterdir())
    if path.is_file() and not path.suffix and path.read_bytes().split(b"\n")[0].endswith(b"python3")
]


def _run(tool: str, *words: str) -> None:
    if find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", tool, *words], cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=600
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_ruff_check():
    _run("ruff", "check", "--output-format=concise", ".", *SCRIPTS)


def test_ruff_format():
    _run("ruff", "format", "--check", ".", *SCRIPTS)


def test_mypy():
    """The cache lies in the checkout (and is ignored by git), so that the second run takes seconds."""
    _run("mypy", "--cache-dir", ".mypy_cache")
