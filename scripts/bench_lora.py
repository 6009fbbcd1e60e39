"""Benchmarks of making LoRAs: resize against a full decomposition of every product, extract against one of every layer."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BEFORE, AFTER, KEPT = 64, 16, 32
#: Layers of SDXL that are extracted: attention, feed-forward to and fro, convolution.
LAYERS = ((1280, 1280), (10240, 1280), (1280, 5120), (1280, 11520))


def bench_lora(args: argparse.Namespace) -> None:
    """An SDXL LoRA (rank 64 to 16): `modelhub lora resize` against torch.linalg.svd(up @ down) per layer; and extract."""
    from bench_tools import workplace

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait shall not count as busy
    with workplace(args.folder) as work:
        path = _write_lora(work / "lora.safetensors")
        _resize(args, work, path)
    _extract(args)


def _write_lora(path: Path) -> Path:
    """The real modules of kohya's SDXL LoRAs with random factors of rank 64, fp16."""
    from bench_tools import layout, write_random

    from modelhub.formats.header import Header

    entries = []
    for name, info in layout("lora-sdxl-kohya").tensors.items():
        if name.startswith("lora_unet_"):
            down, up = name.endswith("lora_down.weight"), name.endswith("lora_up.weight")
            shape = (
                (BEFORE, *info.shape[1:]) if down else (info.shape[0], BEFORE, *info.shape[2:]) if up else info.shape
            )
            entries.append((name, "F16", shape))
    write_random(path, Header.of(entries, {"format": "pt"}), 1)
    return path


def _resize(args: argparse.Namespace, work: Path, path: Path) -> None:
    """Ours as a whole process, three rounds; the plain loop once for each shape, times how many layers have it."""
    from bench_tools import run

    env = {**os.environ, "MODELHUB_HOME": str(work / "home")}
    words = [
        "lora",
        "resize",
        str(path),
        "-o",
        str(work / "small.safetensors"),
        "--rank",
        str(AFTER),
        "--force",
        "--json",
    ]
    rounds = [run([sys.executable, "-m", "modelhub", *words], env) for _ in range(args.rounds + 1)][1:]
    wall, cpu, memory = (sorted(values)[len(rounds) // 2] for values in list(zip(*rounds, strict=True))[:3])
    own = sorted(one[3] for one in rounds)[len(rounds) // 2]
    shapes = _shapes(path)
    print(
        f"resize of {path.stat().st_size / 1e6:.0f} MB, {sum(shapes.values())} modules, rank {BEFORE} to {AFTER}, fp16;"
    )
    print(
        f"{args.rounds} rounds of ours; of the plain loop each of {len(shapes)} shapes once, times its number of layers"
    )
    print(f"{'':42} {'wall':>9} {'CPU':>9} {'memory':>9}")
    print(f"{'modelhub lora resize, whole process':42} {wall:7.1f} s {cpu:7.1f} s {memory:6.0f} MiB")
    print(f"{'  of that at work':42} {own:7.1f} s")
    for title, full in (("torch.linalg.svd(up @ down)", True), ("the same, full_matrices=False", False)):
        costs = [(count, *_cost(partial(_plain, rows, columns, full))) for (rows, columns), count in shapes.items()]
        plain, busy = (sum(one[0] * one[at] for one in costs) for at in (1, 2))
        print(f"{title:42} {plain:7.1f} s {busy:7.1f} s   ours takes {wall / plain:.4f} of it, {cpu / busy:.4f} of CPU")


def _shapes(path: Path) -> Counter[tuple[int, int]]:
    from math import prod

    from modelhub.formats.safetensors import read_header

    tensors = read_header(path).tensors
    return Counter(
        (tensors[name.replace("lora_down", "lora_up")].shape[0], prod(info.shape[1:]))
        for name, info in tensors.items()
        if name.endswith("lora_down.weight")
    )


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - cpu


def _plain(rows: int, columns: int, full: bool) -> None:
    """What scripts for this do with one layer, on all cores."""
    import torch

    up, down = torch.randn(rows, BEFORE) * 0.05, torch.randn(BEFORE, columns) * 0.05
    left, values, right = torch.linalg.svd(up @ down, full_matrices=full)
    _ = (left[:, :AFTER] @ torch.diag(values[:AFTER])).half(), right[:AFTER].half()


def _extract(args: argparse.Namespace) -> None:
    """Layers whose differences have a spectrum of k^-0.7, as fine-tuning leaves them; both on one thread, in turn."""
    import torch

    from modelhub.lora.making.svd import of_matrix

    torch.set_num_threads(1)
    print(
        f"\nextract: the first {KEPT} singular values of a layer, CPU seconds of one thread; ours the least of {args.rounds}"
    )
    print(f"{'layer':16} {'random':>9} {'full SVD':>9} {'ratio':>8}   error beside the least")
    for rows, columns in LAYERS:
        matrix, values = _difference(rows, columns)
        ours = min(_cost(partial(of_matrix, matrix, KEPT, 1))[1] for _ in range(args.rounds))
        theirs = _cost(partial(torch.linalg.svd, matrix, full_matrices=False))[1]
        found = of_matrix(matrix, KEPT, 1)
        error = float((matrix - (found.left * found.values.float()) @ found.right).norm())
        least = float(values[KEPT:].norm())
        shown = f"{rows} x {columns}"
        print(f"{shown:16} {ours:7.2f} s {theirs:7.2f} s {ours / theirs:8.4f}   {error / least - 1:+.2%}")


def _difference(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix of known singular values: few enough reflections make its bases random."""
    import torch

    chance = torch.Generator().manual_seed(rows + columns)
    least = min(rows, columns)
    values = torch.arange(1, least + 1, dtype=torch.float32) ** -0.7
    matrix = torch.zeros(rows, columns)
    matrix[range(least), range(least)] = values
    for _ in range(24):
        left, right = (torch.randn(size, 1, generator=chance) for size in (rows, columns))
        left, right = left / left.norm(), right / right.norm()
        matrix -= 2 * left @ (left.T @ matrix)
        matrix -= 2 * (matrix @ right) @ right.T
    return matrix, values
