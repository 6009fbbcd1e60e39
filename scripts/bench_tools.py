"""What all benchmarks share: real layouts, files made of them, and programs run in turn."""

from __future__ import annotations

import json
import lzma
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelhub.formats.header import Header

LAYOUTS = Path(__file__).parents[1] / "tests" / "data" / "layouts"
BLOCK = 1 << 24


def layout(name: str, dtype: str = "F16", cut: int = 0) -> Header:
    """The header of a real model's layout, weights as `dtype`; `cut` tensors fewer make another file of the same family."""
    table = json.loads(lzma.open(LAYOUTS / f"{name}.json.xz", "rt").read())
    entries = [(key, dtype if kind == "F32" else kind, tuple(shape)) for key, (kind, *shape) in table.items()]
    return Header.of(entries[: len(entries) - cut], {"format": "pt"})


def write_random(path: Path, header: Header, seed: int) -> None:
    """A whole file of small random fp16 weights, 0.05 standard deviation."""
    import numpy as np

    rng = np.random.default_rng(seed)
    block = (rng.standard_normal(BLOCK // 2, dtype=np.float32) * 0.05).astype(np.float16).tobytes()
    with path.open("wb") as file:
        file.write(header.encoded)
        for start in range(0, header.data_size, BLOCK):
            turn = rng.integers(0, BLOCK // 2) * 2
            file.write((block[turn:] + block[:turn])[: min(BLOCK, header.data_size - start)])


def as_installed(work: Path) -> dict[str, str]:
    """The environment of a user: a catalog in `work`, and compiled modules that are kept from one start to the next."""
    unusual = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    usual = {name: value for name, value in os.environ.items() if name not in unusual}
    return {**usual, "PYTHONPYCACHEPREFIX": str(work / "compiled"), "MODELHUB_HOME": str(work / "home")}


#: Wall seconds, CPU seconds, peak resident memory in MiB, and the seconds of its own that a program reports.
Figures = tuple[float, float, float, float]


def run(command: list[str], env: dict[str, str]) -> Figures:
    """Run a command and measure it; what it prints is read for `"seconds"` if it is JSON."""
    os.sync()
    with tempfile.TemporaryFile() as answer:
        started = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=answer, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        if status:
            sys.exit(f"{command[0]} failed")
        answer.seek(0)
        own = json.load(answer)["seconds"] if "--json" in command else wall
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, own


@contextmanager
def workplace(folder: Path | None) -> Iterator[Path]:
    """A folder for large files, removed afterwards."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="modelhub-bench-") as name:
        yield Path(name)


def compare(rounds: int, one: Callable[[], Figures], two: Callable[[], Figures]) -> dict[str, float]:
    """Run both in turn; medians, and the median of the ratios pair by pair."""
    pairs = [(one(), two()) for _ in range(rounds + 1)][1:]
    return {
        "one": statistics.median(a[0] for a, _ in pairs),
        "two": statistics.median(b[0] for _, b in pairs),
        "wall": statistics.median(b[0] / a[0] for a, b in pairs),
        "cpu": statistics.median(b[1] / a[1] for a, b in pairs),
        "rss": max(b[2] for _, b in pairs),
        "own": statistics.median(b[3] / a[0] for a, b in pairs),
    }
