"""Benchmark of baking: an SDXL LoRA into an SDXL checkpoint, beside `cp` of it and the matrix products alone, in turn.

Run as a program, it is the process that is measured: `engine` bakes once torch is loaded, `products` multiplies what a
LoRA has, `plain` is the usual script of safetensors and torch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench_merge import Cost, anonymous, told, watched

#: What baking may take: so many times that of `cp` and of the products together.
GOAL = 1.3


def bench_lora_bake(args: argparse.Namespace) -> None:
    """An SDXL checkpoint of 6.9 GB with a LoRA of rank 32 for all 986 modules, against `cp` and the products alone."""
    from bench_tools import layout, workplace, write_random

    with workplace(args.folder) as work:
        base, lora, out = work / "base.safetensors", work / "lora.safetensors", work / "out.safetensors"
        write_random(base, layout("sdxl"), 0)
        write_random(lora, layout("lora-sdxl-kohya"), 1)
        env = {**os.environ, "MODELHUB_HOME": str(work / "home"), "OMP_WAIT_POLICY": "PASSIVE"}
        scan = [sys.executable, "-m", "modelhub", "scan", str(work), "--hash", "fast"]
        subprocess.run(scan, env=env, check=True, stdout=subprocess.DEVNULL)
        print(f"{base.stat().st_size / 1e9:.2f} GB in fp16, a LoRA of {lora.stat().st_size / 1e6:.0f} MB, in turn:")
        found = _measured(_cases(base, lora, out, env), out, args.rounds)
    _print(found)


def _cases(base: Path, lora: Path, out: Path, env: dict[str, str]) -> dict[str, Callable[[], Cost]]:
    def inner(which: str, *paths: Path) -> Callable[[], Cost]:
        return lambda: told([sys.executable, __file__, which, *map(str, paths)], env)

    baking = [sys.executable, "-m", "modelhub", "lora", "bake", str(base), f"{lora}:0.8", "-o", str(out)]
    return {
        "cp": lambda: watched(["cp", str(base), str(out)], env),
        "products alone": inner("products", lora),
        "engine": inner("engine", base, lora, out),
        "process": lambda: watched(baking, env),
        "plain script": inner("plain", base, lora, out),
    }


def _measured(cases: dict[str, Callable[[], Cost]], out: Path, rounds: int) -> dict[str, list[Cost]]:
    """What each case cost in each round, after one that warms up; the plain script runs in the last alone."""
    found: dict[str, list[Cost]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, run in cases.items():
            if name == "plain script" and number < rounds:
                continue
            out.unlink(missing_ok=True)
            os.sync()
            cost = run()
            if number:
                found[name].append(cost)
    return found


def _print(found: dict[str, list[Cost]]) -> None:
    print(f"{'':16} {'wall':>8} {'CPU':>8} {'memory':>10} {'to cp + products':>18}")
    for name, costs in found.items():
        beside = zip(costs, found["cp"][-len(costs) :], found["products alone"][-len(costs) :], strict=True)
        ratio = statistics.median(cost.wall / (cp.wall + products.wall) for cost, cp, products in beside)
        goal = f"  (goal: {GOAL})" if name == "engine" else ""
        wall, cpu, memory = (min(cost[at] for cost in costs) for at in range(3))
        print(f"{name:16} {wall:6.2f} s {cpu:6.2f} s {memory:6.0f} MiB {ratio:14.2f} x{goal}")
    print("Seconds are the least of all rounds, ratios their medians. The engine: from a plan to the end of the file,")
    print("in a process that has torch, and waits for the disk as little as cp does. The products: every up @ down in")
    print("fp32 on all cores. Memory is what belongs to no file.")


def _timed(work: Callable[[], object]) -> Cost:
    """What it costs to do something in this process."""
    over, peak = threading.Event(), [anonymous()]

    def look() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], anonymous())

    looking = threading.Thread(target=look)
    looking.start()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    work()
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    over.set()
    looking.join()
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak[0])


def _engine(base: str, lora: str, goal: str) -> Cost:
    import torch  # noqa: F401

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.execute import merge
    from modelhub.merge.planning.plan import plan
    from modelhub.merge.recipes.making import bake_recipe

    os.fsync = os.fdatasync = lambda file: None  # type: ignore[assignment]
    with Catalog.open() as catalog, Opener(catalog) as opener:
        planned = plan(bake_recipe(base, [(lora, 0.8)]), opener, None, changes)
        return _timed(lambda: merge(planned, goal))


def _products(lora: str) -> Cost:
    """Every up @ down of the file, in fp32."""
    import torch
    from safetensors import safe_open

    with safe_open(lora, "pt") as file:
        names = [name for name in file.keys() if name.endswith(".lora_down.weight")]  # noqa: SIM118

        def work() -> None:
            for name in names:
                down = file.get_tensor(name).float().flatten(1)
                up = file.get_tensor(name.replace("lora_down", "lora_up")).float().flatten(1)
                torch.mm(up, down)

        with torch.inference_mode():
            return _timed(work)


def _plain(base: str, lora: str, goal: str) -> Cost:
    """What most scripts do: all of both in memory, the products in the precision of the file, and saved."""
    from safetensors.torch import load_file, save_file

    from modelhub.catalog.adapter_names import place
    from modelhub.catalog.identify import identify
    from modelhub.formats.opening import open_source
    from modelhub.lora.layers import Layers

    with open_source(Path(base)) as source:
        layers = Layers(source.header, identify(source.header))

    def work() -> None:
        model, tensors = load_file(base), load_file(lora)
        for name in [one for one in tensors if one.endswith(".lora_down.weight")]:
            layer = layers.find(place(name.removesuffix(".lora_down.weight")))
            assert layer is not None
            down = tensors[name].flatten(1)
            up = tensors[name.replace("lora_down", "lora_up")].flatten(1)
            one = layer.stretches[0]
            weight = model[one.tensor][one.start : one.start + one.count]
            weight += 0.8 * (up.float() @ down.float()).reshape(weight.shape).to(weight.dtype)
        save_file(model, goal)

    return _timed(work)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    print(json.dumps({"engine": _engine, "products": _products, "plain": _plain}[sys.argv[1]](*sys.argv[2:])))
