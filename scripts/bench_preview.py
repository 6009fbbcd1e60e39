"""Benchmarks of previews: `modelhub preview` beside a diffusers pipeline with the same settings, in turn.

Run as a program, it is the process that is measured: `pipeline` renders one picture with diffusers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "catalog" / "demo" / "tiny-shapes-base.safetensors"
PROMPT, NEGATIVE = "a red circle on a blue background", "blurry"


class Case(NamedTuple):
    """A model and how it is rendered; `dtype` is what is computed in."""

    name: str
    path: Path
    size: int
    steps: int
    family: str = "sd1"
    device: str = "cpu"
    dtype: str = "fp32"


class Cost(NamedTuple):
    """Seconds from the start of the process to the picture, per step, for all phases; memory in MiB."""

    first: float
    step: float
    cpu: float
    peak: float
    own: float
    seconds: Mapping[str, float]


def bench_preview(args: argparse.Namespace) -> None:
    """The demo model and SD 1.5 at full size (SDXL too on a GPU): first picture, seconds per step and memory, beside diffusers."""
    if args.memory:
        from preview_memory import print_tables

        print_tables()
        return
    folder = args.folder or Path(tempfile.gettempdir()) / "modelhub-bench-preview"
    folder.mkdir(parents=True, exist_ok=True)
    cases = [case for case in _cases(folder) if not args.only or args.only in case.name]
    for case in cases:
        if not case.path.exists():
            _write(case.path, case.family, case.path.stem.rpartition("-")[2])
        _measure(case, folder, args.rounds)
    print("First: from the start of the process to the saved picture; step: the mean of all, the first one included;")
    print("peak: most resident memory, own: most that belongs to no file. Least of all rounds, ratios the medians of")
    print(f"what ran one after the other. Models of full size have random weights, and stay in {folder}.")


def _cases(folder: Path) -> Iterator[Case]:
    import torch

    yield Case("demo, 64x64, 20 steps", DEMO, 64, 20)
    yield Case("sd1 fp16 file, 256x256, 4 steps", folder / "sd1-fp16.safetensors", 256, 4)
    yield Case("sd1 fp32 file, 256x256, 4 steps", folder / "sd1-fp32.safetensors", 256, 4)
    if torch.cuda.is_available():
        yield Case("sd1 on cuda, 512x512, 20 steps", folder / "sd1-fp16.safetensors", 512, 20, "sd1", "cuda", "fp16")
        sdxl = folder / "sdxl-fp16.safetensors"
        yield Case("sdxl on cuda, 1024x1024, 20 steps", sdxl, 1024, 20, "sdxl", "cuda", "fp16")


def _measure(case: Case, folder: Path, rounds: int) -> None:
    found: dict[str, list[Cost]] = {"diffusers": [], "modelhub": []}
    for number in range(rounds + 1):
        for name, run in (("diffusers", _theirs), ("modelhub", _ours)):
            cost = run(case, folder)
            if number:
                found[name].append(cost)
    print(f"{case.name}, {case.device}, computed in {case.dtype}; {rounds} rounds in turn")
    print(f"  {'':10} {'first':>8} {'step':>9} {'CPU':>8} {'peak':>10} {'own':>10}   phases")
    for name, costs in found.items():
        best = {key: min(cost.seconds.get(key, 0.0) for cost in costs) for key in costs[0].seconds}
        phases = ", ".join(f"{key} {value:.2f}" for key, value in best.items())
        print(
            f"  {name:10} {min(c.first for c in costs):6.2f} s {min(c.step for c in costs):7.3f} s "
            f"{min(c.cpu for c in costs):6.1f} s {max(c.peak for c in costs):6.0f} MiB {max(c.own for c in costs):6.0f} MiB   {phases}"
        )
    pairs = list(zip(found["modelhub"], found["diffusers"], strict=True))
    ratios = [statistics.median(mine[place] / theirs[place] for mine, theirs in pairs) for place in range(5)]
    print(
        f"  {'ratio':10} {ratios[0]:6.2f} x {ratios[1]:7.2f} x {ratios[2]:6.2f} x {ratios[3]:6.2f} x   {ratios[4]:6.2f} x",
        flush=True,
    )


def _ours(case: Case, folder: Path) -> Cost:
    """The whole program, as a user runs it."""
    out = folder / "ours.png"
    out.unlink(missing_ok=True)
    words = ["preview", str(case.path), "-p", PROMPT, "-n", NEGATIVE, "-o", str(out), "--sampler", "Euler"]
    words += ["--schedule", "Uniform", "--steps", str(case.steps), "--cfg", "7", "--seed", "1", "--json"]
    words += ["--size", f"{case.size}x{case.size}", "--device", case.device]
    return _watched([sys.executable, "-m", "modelhub", *words], folder, case.steps)


def _theirs(case: Case, folder: Path) -> Cost:
    spec = {**case._asdict(), "path": str(case.path), "out": str(folder / "theirs.png")}
    return _watched([sys.executable, __file__, "pipeline", json.dumps(spec)], folder, case.steps)


def _watched(command: list[str], folder: Path, steps: int) -> Cost:
    """Run a program to its end; the JSON that it prints has the seconds of its phases."""
    from bench_tools import as_installed

    over, most = threading.Event(), [0.0]
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as talk:
        started = time.monotonic()
        with subprocess.Popen(command, env=as_installed(folder), stdout=answer, stderr=talk, cwd=ROOT) as process:
            looking = threading.Thread(target=_look, args=(process.pid, over, most))
            looking.start()
            _, status, usage = os.wait4(process.pid, 0)
            first = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        looking.join()
        answer.seek(0)
        talk.seek(0)
        if status:
            sys.exit(f"failed: {' '.join(command)}\n{talk.read().decode()[-2000:]}{answer.read().decode()[-2000:]}")
        seconds = json.loads(answer.read())["seconds"]
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(first, seconds["sampling"] / steps, cpu, usage.ru_maxrss / 1024, most[0], seconds)


def _look(pid: int, over: threading.Event, most: list[float]) -> None:
    from bench_merge import anonymous

    while not over.wait(0.01):
        most[0] = max(most[0], anonymous(pid))


def _write(path: Path, family: str, precision: str) -> None:
    """A checkpoint of full size with random weights that keep signals at their size."""
    import numpy as np
    from bench_tools import layout

    kind = np.float16 if precision == "fp16" else np.float32
    header = layout({"sd1": "sd15"}.get(family, family), "F16" if precision == "fp16" else "F32")
    rng = np.random.default_rng(1)
    with path.with_suffix(".part").open("wb") as file:
        file.write(header.encoded)
        for name, info in header.tensors.items():
            if info.dtype not in ("F16", "F32"):
                file.write(np.arange(info.numel, dtype=np.int64).tobytes()[: info.nbytes])
            elif len(info.shape) == 1:
                is_scale = name.endswith("weight")
                file.write(np.full(info.shape, 1 if is_scale else 0, kind).tobytes())
            else:
                values = rng.standard_normal(info.numel, dtype=np.float32)
                file.write((values * max(1, info.numel // info.shape[0]) ** -0.5).astype(kind).tobytes())
    path.with_suffix(".part").rename(path)


def _pipeline(spec: dict[str, Any]) -> dict[str, Any]:
    """What the usual script does: diffusers' own networks without a copy more than they need, and its pipeline."""
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # one that does not match torch breaks both imports
    import torch
    from preview_rival import build, embed

    seconds: dict[str, float] = {}
    started = time.perf_counter()
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[spec["dtype"]]
    pipeline = build(Path(spec["path"]), spec["family"], dtype).to(spec["device"])
    pipeline.set_progress_bar_config(disable=True)
    now = time.perf_counter()
    seconds["loading"], started = now - started, now
    with torch.inference_mode():
        vectors = embed(pipeline, PROMPT, NEGATIVE)
    now = time.perf_counter()
    seconds["encoding"], started = now - started, now
    latents = pipeline(
        **vectors,
        num_inference_steps=spec["steps"],
        guidance_scale=7.0,
        width=spec["size"],
        height=spec["size"],
        generator=torch.Generator("cpu").manual_seed(1),
        output_type="latent",
    ).images
    if spec["device"] == "cuda":
        torch.cuda.synchronize()
    now = time.perf_counter()
    seconds["sampling"], started = now - started, now
    with torch.inference_mode():
        pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
        pipeline.image_processor.postprocess(pixels)[0].save(spec["out"])
    seconds["decoding"] = time.perf_counter() - started
    return {"seconds": seconds}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(json.dumps(_pipeline(json.loads(sys.argv[2]))))
