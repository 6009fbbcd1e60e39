"""Benchmarks of conversion: convert and prune of real checkpoints against `cp` of as many bytes; inspect by itself."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

from bench_tools import Figures, layout, run, workplace, write_random

from modelhub.formats.header import Header

#: fp32, as most checkpoints were trained; the larger of the two sizes that Stable Diffusion 1.5 came in.
_DTYPE = "F32"
_UNET = "model.diffusion_model."


def bench_convert(args: argparse.Namespace) -> None:
    """An SD 1.5 checkpoint of 4.27 GB in fp32, as torch.save writes it, to safetensors, read back and proven."""
    with workplace(args.folder) as work:
        source = _made(save_pickle, work / "model.ckpt", layout("sd15", _DTYPE))
        _against_copies(args, source, source, ["convert"])


def bench_prune(args: argparse.Namespace) -> None:
    """An SD 1.5 checkpoint of 2.13 GB in fp16 and its EMA weights, without these; and the fp32 one of 4.27 GB to fp16."""
    with workplace(args.folder) as work:
        source, alone = work / "model.safetensors", work / "alone.safetensors"
        _made(write_random, alone, layout("sd15"), 0)
        _made(write_random, source, _with_ema(layout("sd15")), 0)
        _against_copies(args, source, alone, ["prune"])
        _made(write_random, source, layout("sd15", _DTYPE), 0)
        _against_copies(args, source, alone, ["prune", "--dtype", "fp16", "--vae-dtype", "fp16"])


def bench_inspect(args: argparse.Namespace) -> None:
    """The same checkpoint of 4.27 GB, as a pickle and as safetensors."""
    with workplace(args.folder) as work:
        header = layout("sd15", _DTYPE)
        _made(save_pickle, work / "model.ckpt", header)
        _made(write_random, work / "model.safetensors", header, 0)
        _title("", ["wall", "median", "CPU", "peak RSS"])
        for name in ("model.ckpt", "model.safetensors"):
            command = [sys.executable, "-m", "modelhub", "inspect", str(work / name)]
            _row(name, [run(command, _environment(work)) for _ in range(args.rounds + 1)][1:])


def _made(make: Callable[..., None], path: Path, *rest: object) -> Path:
    """A file that another process has made: the programs that are measured would inherit the peak of its memory."""
    process = get_context("spawn").Process(target=make, args=(path, *rest))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{path} could not be made")
    return path


def save_pickle(path: Path, header: Header) -> None:
    """Tensors in a zip archive, each record with its checksum."""
    import torch

    kinds = {"F32": torch.float32, "I64": torch.int64}
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: (torch.randn(info.shape, generator=generator) * 0.05).to(kinds[info.dtype])
        for name, info in header.tensors.items()
    }
    torch.save({"state_dict": weights, "global_step": 840_000, "epoch": 3}, path)


def _with_ema(header: Header) -> Header:
    """The header with a second U-Net under the names that ldm gives averages."""
    entries = [(name, info.dtype, info.shape) for name, info in header.tensors.items()]
    averages = [
        ("model_ema." + name.removeprefix("model.").replace(".", ""), dtype, shape)
        for name, dtype, shape in entries
        if name.startswith(_UNET)
    ]
    return Header.of(entries + averages, header.metadata)


def _against_copies(args: argparse.Namespace, source: Path, copied: Path, words: list[str]) -> None:
    """Our command on `source`, and `cp` of `copied` with and without waiting for the disk, in turn."""
    env, out = _environment(source.parent), source.parent / "out.safetensors"
    copy = f"cp '{copied}' '{out}'"
    commands = {
        "cp": ["sh", "-c", copy],
        "cp, sync": ["sh", "-c", f"{copy} && sync -d '{out}'"],
        " ".join(words): [sys.executable, "-m", "modelhub", *words, str(source), str(out)],
    }
    figures: dict[str, list[Figures]] = {name: [] for name in commands}
    for _ in range(args.rounds + 1):
        for name, command in commands.items():
            figures[name].append(run(command, env))
            size = out.stat().st_size
            out.unlink()
    print(f"{source.stat().st_size / 1e9:.2f} GB to {size / 1e9:.2f} GB; {args.rounds} rounds in turn")
    _title("", ["wall", "median", "CPU", "peak RSS", "to cp", "to sync"])
    for name, found in figures.items():
        _row(name, found[1:], [_ratio(found[1:], figures[other][1:]) for other in ("cp", "cp, sync")])


def _ratio(ours: list[Figures], theirs: list[Figures]) -> str:
    """The median of the ratios of wall time, round by round."""
    return f"{statistics.median(a[0] / b[0] for a, b in zip(ours, theirs, strict=True)):.2f} x"


def _title(name: str, columns: list[str]) -> None:
    print(f"{name:22}" + "".join(f"{column:>10}" for column in columns))


def _row(name: str, found: list[Figures], more: list[str] | None = None) -> None:
    """The quickest and the median wall time, the median CPU time, the largest peak."""
    walls, cpus, peaks, _ = zip(*found, strict=True)
    cells = [f"{min(walls):.2f} s", f"{statistics.median(walls):.2f} s", f"{statistics.median(cpus):.2f} s"]
    print(f"{name[:21]:22}" + "".join(f"{cell:>10}" for cell in [*cells, f"{max(peaks):.0f} MiB", *(more or [])]))


def _environment(work: Path) -> dict[str, str]:
    """That of a user: a catalog of its own, and compiled modules that are kept from one start to the next."""
    unusual = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    usual = {name: value for name, value in os.environ.items() if name not in unusual}
    return {**usual, "PYTHONPYCACHEPREFIX": str(work / "compiled"), "MODELHUB_HOME": str(work / "home")}
