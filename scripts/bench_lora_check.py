"""Benchmark of `lora check --all`: a library's whole matrix, the first time and again, and what else such a run costs."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from bench_catalog import write_hollow
from bench_tools import layout, workplace

from modelhub.catalog.identify import identify
from modelhub.catalog.rules import rules_version
from modelhub.catalog.store import Catalog
from modelhub.formats.header import Header
from modelhub.formats.stat import FileStat

#: Layouts that a library's files have, by how many of each kind there are.
_LORAS = ("lora-sd15-kohya", "lora-sdxl-kohya", "lora-flux-kohya", "lora-flux-diffusers", "loha-sd15", "lokr-sdxl")
_MODELS = ("sd15", "sdxl", "sd21", "flux-dev", "flux-schnell", "sd3-medium")
#: What trainers and merges write of their origin.
_ORIGINS = ("", "illustriousXL_v01", "ponyDiffusionV6XL", "noobaiXL_vpred", "sd_xl_base_1.0", "v1-5-pruned")


def bench_lora_check(args: argparse.Namespace) -> None:
    """`lora check --all --json` over a library: every LoRA against every model, with nothing kept, and with all kept."""
    with workplace(args.folder) as work:
        env = {**os.environ, "MODELHUB_HOME": str(work / "home")}
        started = time.monotonic()
        # in a process of its own: the memory of the commands is measured from here
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            prints = pool.submit(_fill, work, args.loras, args.models, args.layouts).result()
        pairs = args.loras * args.models
        print(
            f"{args.loras:,} LoRAs of {prints[0]} layouts x {args.models:,} models of {prints[1]} layouts = {pairs:,} pairs"
        )
        print(f"(laid out in {time.monotonic() - started:.0f} s; {os.cpu_count()} cores)")
        print(f"{'run':34} {'seconds':>9} {'CPU':>9} {'pairs/s':>10} {'peak MiB':>9}")
        command = [sys.executable, "-m", "modelhub", "lora", "check", "--all"]
        for name, more in (("nothing kept, JSON", ["--json"]), ("all kept, JSON", ["--json"]), ("all kept, text", [])):
            seconds, cpu, peak = _run([*command, *more], env, work)
            print(f"{name:34} {seconds:9.2f} {cpu:9.2f} {pairs / seconds:10,.0f} {peak:9.0f}")
        ls = [sys.executable, "-m", "modelhub", "ls", "--json"]
        seconds, cpu, peak = _run(ls, env, work)
        print(f"{'ls --json of the same library':34} {seconds:9.2f} {cpu:9.2f} {'':>10} {peak:9.0f}")


def _run(command: list[str], env: dict[str, str], work: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak memory of a command whose answer goes to a file."""
    with (work / "answer").open("wb") as answer:
        started = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=answer, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _fill(work: Path, loras: int, models: int, layouts: int) -> tuple[int, int]:
    """Files with real headers and holes for data, and their rows; a file for each layout and origin, linked for others.

    Returns the numbers of different layouts.
    """
    random.seed(1)
    prints: list[set[str | None]] = [set(), set()]
    sides = ((_LORAS, loras, layouts), (_MODELS, models, layouts // 4))
    with Catalog.open(work / "home") as catalog, catalog.atomic():
        for side, (names, count, variants) in enumerate(sides):
            for at, (path, header) in enumerate(_files(work / str(side), names, count, variants)):
                link = path.with_name(f"{_ORIGINS[at % len(_ORIGINS)] or 'plain'}-{at:05}.safetensors")
                os.link(path, link)
                identity = identify(header, name=link.name)
                prints[side].add(identity.fingerprint)
                catalog.record(link, FileStat.of(link.stat()), identity, rules_version())
    return len(prints[0]), len(prints[1])


def _files(folder: Path, names: tuple[str, ...], count: int, variants: int) -> Iterator[tuple[Path, Header]]:
    """A file and its header for each of `count` assets, of `variants` layouts."""
    folder.mkdir()
    made: dict[tuple[int, int], tuple[Path, Header]] = {}
    for _ in range(count):
        which, origin = random.randrange(variants), random.randrange(1, len(_ORIGINS))
        if (which, origin) not in made:
            header = _variant(names[which % len(names)], which // len(names), _ORIGINS[origin])
            path = folder / f"layout-{which}-{origin}"
            write_hollow(path, header)
            made[which, origin] = (path, header)
        yield made[which, origin]


def _variant(name: str, number: int, origin: str) -> Header:
    """A real layout: of a LoRA with fewer modules, of a model with a tensor more that says nothing."""
    is_lora = name.startswith("lo")
    whole = layout(name, cut=6 * number if is_lora else 0)
    entries = [(key, info.dtype, info.shape) for key, info in whole.tensors.items()]
    more = [] if is_lora else [("training.notes", "F32", (number + 1,))]
    return Header.of([*entries, *more], {"ss_sd_model_name": f"{origin}.safetensors"})
