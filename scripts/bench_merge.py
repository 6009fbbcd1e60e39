"""Benchmarks of merging: the engine alone, the whole program and other tools, each beside `cp` of one input, in turn.

Run as a program, it is the process that is measured: `engine` merges once torch is loaded, `plain` is the usual script
of safetensors and torch, `mecha` is sd-mecha with its defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MIB = 1024


class Cost(NamedTuple):
    """Wall and CPU seconds, and the largest anonymous memory in MiB."""

    wall: float
    cpu: float
    memory: float


class Case(NamedTuple):
    """One row of the table; `against` is the row that the ratios are to. `once`: too slow for every round."""

    name: str
    run: Callable[[], Cost]
    against: str = "cp"
    once: bool = False


def bench_merge(args: argparse.Namespace) -> None:
    """SD 1.5 checkpoints of 2.1 GB: our engine, the whole program, a plain script and sd-mecha against `cp` of one of them."""
    from bench_tools import layout, workplace, write_random

    with workplace(args.folder) as work:
        header = layout("sd15")
        for seed, name in enumerate("abcd"):
            write_random(work / f"{name}.safetensors", header, seed)
        env = {**os.environ, "MODELHUB_HOME": str(work / "home"), "OMP_WAIT_POLICY": "PASSIVE"}
        scan = [sys.executable, "-m", "modelhub", "scan", str(work), "--hash", "fast"]
        subprocess.run(scan, env=env, check=True, stdout=subprocess.DEVNULL)
        cases = [
            case
            for case in _cases(work, env, _mecha(args, work))
            if not args.only or args.only in case.name or case.name == "cp"
        ]
        size, tensors = header.file_size / 1e9, len(header.tensors)
        print(f"checkpoints of {size:.2f} GB, {tensors} tensors, fp16, read before; {args.rounds} rounds in turn")
        _print_table(cases, _measured(cases, work / "out.safetensors", args.rounds))
        print(
            "Seconds are the least of all rounds, ratios the medians of what was run in one round; memory is the most"
        )
        print("that belonged to no file. TIES, the plain script and sd-mecha run once, in the last round.")
        print(
            "The engine: from a plan to the end of the file, in a process that has torch. Unless 'synced', nothing is"
        )
        print(
            "waited for that the disk has to do; cp does not wait either. 'process': all of it, from the shell's view."
        )


def _cases(work: Path, env: dict[str, str], mecha: str | None) -> list[Case]:
    out, a, b, c, d = (work / f"{name}.safetensors" for name in ("out", "a", "b", "c", "d"))

    def shell(line: str) -> Callable[[], Cost]:
        return lambda: watched(["sh", "-c", line], env)

    def engine(method: str, *refs: Path, alpha: float | str | None = 0.3, sync: bool = False) -> Callable[[], Cost]:
        spec = {"method": method, "refs": [str(ref) for ref in refs], "alpha": alpha, "goal": str(out), "sync": sync}
        return lambda: told([sys.executable, __file__, "engine", json.dumps(spec)], env)

    def program(*words: object) -> Callable[[], Cost]:
        return lambda: watched([sys.executable, "-m", "modelhub", "merge", *map(str, words), "-o", str(out)], env)

    def rival(python: str, which: str) -> Callable[[], Cost]:
        return lambda: watched([python, __file__, which, str(a), str(b), str(out)], env)

    return [
        Case("cp", shell(f"cp '{a}' '{out}'")),
        Case("cp, synced", shell(f"cp '{a}' '{out}' && sync -d '{out}'")),
        Case("cat A B and cp", shell(f"cat '{a}' '{b}' >/dev/null && cp '{a}' '{out}'")),
        Case("engine weighted-sum", engine("weighted-sum", a, b)),
        Case("engine weighted-sum, synced", engine("weighted-sum", a, b, sync=True), "cp, synced"),
        Case("engine by blocks (GRAD_V)", engine("weighted-sum", a, b, alpha="GRAD_V"), "engine weighted-sum"),
        Case("engine add-difference", engine("add-difference", a, b, c)),
        Case("engine ties of four", engine("ties", a, b, c, d, alpha=None), once=True),
        Case("engine copy (alpha 0)", engine("weighted-sum", a, b, alpha=0.0)),
        Case("import torch", lambda: watched([sys.executable, "-c", "import torch"], env)),
        Case("process weighted-sum", program("weighted-sum", a, b, "--alpha", 0.3), "cat A B and cp"),
        Case("process copy (alpha 0)", program("weighted-sum", a, b, "--alpha", 0), "cp, synced"),
        Case("plain script, weighted sum", rival(sys.executable, "plain"), once=True),
        *([Case("sd-mecha, weighted sum", rival(mecha, "mecha"), once=True)] if mecha else []),
    ]


def _measured(cases: list[Case], out: Path, rounds: int) -> dict[str, list[Cost]]:
    """What each case cost in each round; a first round, which warms up, is not counted.

    The slow ones run in the last round only.
    """
    found: dict[str, list[Cost]] = {case.name: [] for case in cases}
    for number in range(rounds + 1):
        for case in cases:
            if case.once and number < rounds:
                continue
            out.unlink(missing_ok=True)
            os.sync()
            cost = case.run()
            if number:
                found[case.name].append(cost)
    return found


def _print_table(cases: list[Case], found: dict[str, list[Cost]]) -> None:
    print(f"{'':28} {'wall':>8} {'CPU':>8} {'wall':>8} {'CPU':>8}   {'to':20} {'memory':>9}")
    for case in cases:
        costs = found[case.name]
        line = f"{case.name:28} {min(c.wall for c in costs):6.2f} s {min(c.cpu for c in costs):6.2f} s"
        if case.against in found and case.against != case.name:
            pairs = list(zip(costs, found[case.against][-len(costs) :], strict=True))
            wall = statistics.median(mine.wall / theirs.wall for mine, theirs in pairs)
            cpu = statistics.median(mine.cpu / max(theirs.cpu, 1e-3) for mine, theirs in pairs)
            line += f" {wall:6.2f} x {cpu:6.2f} x   {case.against:20}"
        else:
            line += " " * 41
        print(f"{line} {max(c.memory for c in costs):5.0f} MiB")


def watched(command: list[str], env: dict[str, str]) -> Cost:
    """Run a command to its end, looking at its memory every few milliseconds."""
    started = time.monotonic()
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        over, peak = threading.Event(), [0.0]
        looking = threading.Thread(target=_look, args=(process.pid, over, peak))
        looking.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        looking.join()
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak[0])


def _look(pid: int, over: threading.Event, peak: list[float]) -> None:
    while not over.wait(0.01):
        peak[0] = max(peak[0], anonymous(pid))


def anonymous(pid: int | str = "self") -> float:
    """MiB of memory that belong to no file; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / MIB for line in lines if line.startswith("RssAnon")), 0.0)


def told(command: list[str], env: dict[str, str]) -> Cost:
    """Run a command that measures a part of itself, and prints that."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def _engine(spec: dict[str, object]) -> Cost:
    """Merge once torch is loaded, and measure from the plan to the end of the file."""
    import torch  # noqa: F401

    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.catalog.weighing.words import read_weight
    from modelhub.merge.execute import merge
    from modelhub.merge.planning.plan import plan
    from modelhub.merge.recipes.recipe import simple_recipe

    if not spec["sync"]:
        os.fsync = os.fdatasync = lambda file: None  # type: ignore[assignment]
    alpha = spec["alpha"]
    parameters = {} if alpha is None else {"alpha": read_weight(alpha) if isinstance(alpha, str) else alpha}
    with Catalog.open() as catalog, Opener(catalog) as opener:
        planned = plan(simple_recipe(spec["method"], spec["refs"], parameters=parameters), opener)
        over, peak = threading.Event(), [anonymous()]
        looking = threading.Thread(target=_look, args=("self", over, peak))
        looking.start()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        merge(planned, spec["goal"])
        wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
        over.set()
        looking.join()
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak[0])


def _plain(a: str, b: str, out: str) -> None:
    """What most scripts do, and the web UIs: all of both in memory, merged tensor by tensor in fp16, and saved."""
    from safetensors.torch import load_file, save_file

    one, two = load_file(a), load_file(b)
    for name, tensor in one.items():
        if name in two and tensor.is_floating_point():
            one[name] = (1 - 0.3) * tensor + 0.3 * two[name]
    save_file(one, out)


def _sd_mecha(a: str, b: str, out: str) -> None:
    import sd_mecha

    sd_mecha.merge(sd_mecha.weighted_sum(sd_mecha.model(a), sd_mecha.model(b), alpha=0.3), output=out)


def _mecha(args: argparse.Namespace, work: Path) -> str | None:
    """A Python that has sd-mecha: the one given, or a new environment that borrows our torch; None if there is none."""
    if args.mecha:
        return str(args.mecha)
    with tempfile.TemporaryFile() as log:
        try:
            venv.create(work / "mecha", with_pip=True)
            python = str(work / "mecha" / "bin" / "python")
            wanted = ["sd-mecha", "fuzzywuzzy", "python-Levenshtein", "tqdm", "click", "PyYAML", "scipy", "numpy"]
            command = [python, "-m", "pip", "install", "-q", "--no-deps", *wanted]
            subprocess.run(command, check=True, stdout=log, stderr=log, timeout=600)
        except (OSError, subprocess.SubprocessError):
            print("sd-mecha cannot be installed here, and is left out; --mecha names a Python that has it.")
            return None
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (Path(python).parents[1] / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "ours.pth").write_text(
        ours
    )
    return python


if __name__ == "__main__":
    if sys.argv[1] == "engine":
        sys.path.insert(0, str(Path(__file__).parents[1]))
        print(json.dumps(_engine(json.loads(sys.argv[2]))))
    else:
        {"plain": _plain, "mecha": _sd_mecha}[sys.argv[1]](*sys.argv[2:])
