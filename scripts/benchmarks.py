"""Benchmarks, each a ratio to something run beside it in turn: a merge to `cp`, a scan to `find`, hashes to `sha256sum`, a download to `curl`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench_catalog import bench_identify, bench_ls, bench_scan
from bench_convert import bench_convert, bench_inspect, bench_prune
from bench_fetch import bench_fetch
from bench_lora import bench_lora
from bench_lora_bake import bench_lora_bake
from bench_lora_check import bench_lora_check
from bench_merge import bench_merge
from bench_preview import bench_preview
from bench_safety import bench_safety
from bench_tools import Figures, compare, run, workplace, write_random
from bench_tui import bench_tui

from modelhub.formats.header import Header


def bench_hash(args: argparse.Namespace) -> None:
    """All hashes of a large file, the whole `modelhub hash` and `hash_file` alone, against `sha256sum` and OpenSSL's."""
    from modelhub.formats.hashes import hash_file

    with workplace(args.folder) as work:
        path = work / "model.safetensors"
        write_random(path, Header.of([("w", "F16", (int(args.gigabytes * 1e9) // 2,))]), 0)
        env = {**os.environ, "MODELHUB_HOME": str(work / "home")}
        command = [sys.executable, "-m", "modelhub", "hash", str(path)]

        def inside(mode: str) -> Figures:
            started, cpu = time.monotonic(), time.process_time()
            hash_file(path, mode)
            wall = time.monotonic() - started
            return wall, time.process_time() - cpu, 0.0, wall

        rivals = [
            ["sha256sum", str(path)],
            *([["openssl", "dgst", "-sha256", str(path)]] if shutil.which("openssl") else []),
        ]
        ours: dict[str, Callable[[], Figures]] = {
            "modelhub hash": lambda: run(command, env),
            "hash_file full": lambda: inside("full"),
            "hash_file fast": lambda: inside("fast"),
        }
        print(
            f"a file of {path.stat().st_size / 1e9:.2f} GB in memory, {os.cpu_count()} cores; {args.rounds} rounds in turn"
        )
        print(f"{'':16} {'against':10} {'ours':>8} {'theirs':>8} {'wall':>8} {'CPU':>8}")
        for rival in rivals:
            for name, mine in ours.items():
                got = compare(args.rounds, lambda rival=rival: run(rival, env), mine)
                ratios = f"{got['wall']:6.2f} x {got['cpu']:6.2f} x"
                print(f"{name:16} {rival[0]:10} {got['two']:6.1f} s {got['one']:6.1f} s {ratios}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after one that warms up")
    parser.add_argument(
        "--folder", type=Path, help="where to put the large files (default: the system's temporary folder)"
    )
    which = parser.add_subparsers(dest="which", required=True)
    merging = which.add_parser("merge", help=bench_merge.__doc__)
    merging.add_argument(
        "--mecha", type=Path, metavar="PYTHON", help="a Python that has sd-mecha (default: installed for a while)"
    )
    merging.add_argument("--only", metavar="WORD", help="only the rows with this word, and cp")
    merging.set_defaults(run=bench_merge)
    scan = which.add_parser("scan", help=bench_scan.__doc__)
    scan.add_argument("--files", type=int, default=10_000)
    scan.set_defaults(run=bench_scan)
    which.add_parser("identify", help=bench_identify.__doc__).set_defaults(run=bench_identify)
    listing = which.add_parser("ls", help=bench_ls.__doc__)
    listing.add_argument("--assets", type=int, default=50_000)
    listing.set_defaults(run=bench_ls)
    hashing = which.add_parser("hash", help=bench_hash.__doc__)
    hashing.add_argument("--gigabytes", type=float, default=4.0, help="how large the file is")
    hashing.set_defaults(run=bench_hash)
    fetching = which.add_parser("fetch", help=bench_fetch.__doc__)
    fetching.add_argument("--gigabytes", type=float, default=2.0, help="how large the file is")
    fetching.set_defaults(run=bench_fetch)
    matrix = which.add_parser("lora-check", help=bench_lora_check.__doc__)
    matrix.add_argument("--loras", type=int, default=3_000)
    matrix.add_argument("--models", type=int, default=300)
    matrix.add_argument("--layouts", type=int, default=120, help="different layouts of LoRAs; of models a quarter")
    matrix.set_defaults(run=bench_lora_check)
    which.add_parser("lora-bake", help=bench_lora_bake.__doc__).set_defaults(run=bench_lora_bake)
    preview = which.add_parser("preview", help=bench_preview.__doc__)
    preview.add_argument("--only", metavar="WORD", help="only the rows with this word")
    preview.add_argument("--memory", action="store_true", help="print what fits on which GPU, and measure nothing")
    preview.set_defaults(run=bench_preview)
    screens = which.add_parser("tui", help=bench_tui.__doc__)
    screens.add_argument("--assets", type=int, default=50_000)
    screens.set_defaults(run=bench_tui)
    for bench in (bench_convert, bench_prune, bench_inspect, bench_safety, bench_lora):
        which.add_parser(bench.__name__.removeprefix("bench_"), help=bench.__doc__).set_defaults(run=bench)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
