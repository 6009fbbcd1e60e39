"""Benchmarks, each a ratio to something run beside it in turn: a merge to `cp`, a scan to `find`."""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import shutil
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


def bench_merge(args: argparse.Namespace) -> None:
    """Two SD 1.5 checkpoints of 2.1 GB, weighted sum and add difference, against `cp` of one of them (both synced to disk)."""
    with workplace(args.folder) as work:
        env = {**os.environ, "MODELHUB_HOME": str(work / "home")}
        header = layout("sd15")
        for seed, name in enumerate("abc"):
            write_random(work / f"{name}.safetensors", header, seed)
        modelhub = [sys.executable, "-m", "modelhub"]
        subprocess.run([*modelhub, "scan", str(work), "--hash", "fast"], env=env, check=True, stdout=subprocess.DEVNULL)
        out = work / "out.safetensors"

        def copy() -> Figures:
            out.unlink(missing_ok=True)
            return run(["sh", "-c", f"cp '{work}/a.safetensors' '{out}' && sync -d '{out}'"], env)

        def merge(*words: str) -> Figures:
            out.unlink(missing_ok=True)
            return run([*modelhub, "merge", *words, "-o", str(out)], env)

        print(
            f"two checkpoints of {header.file_size / 1e9:.2f} GB, {len(header.tensors)} tensors, fp16; {args.rounds} rounds in turn"
        )
        print(f"{'':16} {'merge':>8} {'cp':>8} {'wall':>8} {'engine':>8} {'CPU':>8} {'peak RSS':>10}")
        for name, words in (("weighted-sum", ("a", "b")), ("add-difference", ("a", "b", "c"))):
            refs = [str(work / f"{word}.safetensors") for word in words]
            got = compare(
                args.rounds, copy, lambda name=name, refs=refs: merge(name, *refs, "--alpha", "0.3", "--json")
            )
            ratios = f"{got['wall']:6.2f} x {got['own']:6.2f} x {got['cpu']:6.2f} x"
            print(f"{name:16} {got['two']:6.1f} s {got['one']:6.1f} s {ratios} {got['rss']:6.0f} MiB")
        start = compare(args.rounds, copy, lambda: run([sys.executable, "-c", "import torch"], env))
        print(
            "wall, engine and CPU are ratios to cp and sync, medians of pairs; engine is without starting the program,"
        )
        print(f"of which `import torch` alone takes {start['two']:.1f} s and {start['rss']:.0f} MiB.")


def bench_scan(args: argparse.Namespace) -> None:
    """2,000 files with the headers of real models (their data are holes), scanned anew and again, against `find`."""
    with workplace(args.folder) as work:
        library = work / "library"
        names = [path.name.split(".")[0] for path in sorted(LAYOUTS.glob("*.json.xz"))]
        random.seed(1)
        for number in range(args.files):
            folder = library / f"folder{number % 40:02}"
            folder.mkdir(parents=True, exist_ok=True)
            header = layout(names[number % len(names)], cut=number % 7)
            with (folder / f"{names[number % len(names)]}-{number:04}.safetensors").open("wb") as file:
                file.write(header.encoded)
                file.truncate(header.file_size)
        env = {**os.environ, "MODELHUB_HOME": str(work / "home")}
        scan = [sys.executable, "-m", "modelhub", "scan", str(library), "--hash", "none"]

        def fresh() -> Figures:
            shutil.rmtree(work / "home", ignore_errors=True)
            return run(scan, env)

        find = ["find", str(library), "-name", "*.safetensors", "-printf", "%D %i %s %T@ %p\n"]
        first = compare(args.rounds, lambda: run(find, env), fresh)
        again = compare(args.rounds, lambda: run(find, env), lambda: run(scan, env))
        nothing = compare(args.rounds, lambda: run(find, env), lambda: run([sys.executable, "-c", "pass"], env))
        print(f"{args.files} safetensors headers of {len(names)} real layouts; {args.rounds} rounds in turn")
        print(f"first scan   {first['two']:6.2f} s = {args.files / first['two']:,.0f} files/s, {first['rss']:.0f} MiB")
        print(f"rescan       {again['two']:6.2f} s = {again['wall']:.1f} x find ({again['one'] * 1000:.0f} ms)")
        print(f"of which starting Python: {nothing['two']:.2f} s")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after one that warms up")
    parser.add_argument(
        "--folder", type=Path, help="where to put the large files (default: the system's temporary folder)"
    )
    which = parser.add_subparsers(dest="which", required=True)
    which.add_parser("merge", help=bench_merge.__doc__).set_defaults(run=bench_merge)
    scan = which.add_parser("scan", help=bench_scan.__doc__)
    scan.add_argument("--files", type=int, default=2000)
    scan.set_defaults(run=bench_scan)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
