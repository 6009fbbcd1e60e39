"""How well scanners tell hostile checkpoints from harmless ones: ours, three others, and torch's own strict loader."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import venv
import zlib
from collections.abc import Iterator
from pathlib import Path

from bench_tools import workplace

TESTS = Path(__file__).parents[1] / "tests" / "formats" / "pickles"
DEMO = Path(__file__).parents[1] / "catalog" / "demo"
PEERS = ("picklescan==1.0.5", "fickling==0.1.12", "modelscan==0.8.8")
TIMEOUT = 1800

#: Each defines `is_safe(path)`; an exception is a refusal. The rest of the program is `_LOOP`.
_MODELHUB = """
from modelhub.formats.pickles.examine import examine
def is_safe(path):
    found = examine(path)
    return found.error is None and not found.dangers
"""
_TORCH = """
import torch
def is_safe(path):
    torch.load(path, weights_only=True)
    return True
"""
_PICKLESCAN = """
from picklescan.scanner import scan_file_path
def is_safe(path):
    found = scan_file_path(path)
    return not found.infected_files and not found.scan_err
"""
_FICKLING = """
from fickling.loader import scan_file, scan_zip_archive
import zipfile
def is_safe(path):
    found = scan_zip_archive(path).values() if zipfile.is_zipfile(path) else [scan_file(path)]
    return all(one.is_safe and not one.errors for one in found)
"""
_MODELSCAN = """
from modelscan.modelscan import ModelScan
scan = ModelScan()
def is_safe(path):
    found = scan.scan(path)
    return found["summary"]["scanned"]["total_scanned"] > 0 and not found["summary"]["total_issues"] and not found["errors"]
"""
_LOOP = """
import contextlib, io, json, logging, sys, time, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
safe, began, out = [], time.monotonic(), sys.stdout
for path in json.load(sys.stdin):
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if is_safe(path):
                safe.append(path)
    except BaseException:
        pass
json.dump({"safe": safe, "seconds": time.monotonic() - began}, out)
"""


def bench_safety(args: argparse.Namespace) -> None:
    """Attacks that are called safe and harmless files that are refused: modelhub, picklescan, fickling, modelscan, torch."""
    sys.path.insert(0, str(TESTS))
    with workplace(args.folder) as work:
        for name in ("attacks", "benign", "markers"):
            (work / name).mkdir()
        attacks, benign = _live(work, dict(_attacks(work))), list(_benign(work))
        print(
            f"{len(attacks)} attacks, each carried out by torch.load(weights_only=False), {len(benign)} harmless files;"
        )
        print("missed: attacks that are let pass, if with a warning; refused: harmless files that are not let pass")
        print(f"{'':34} {'missed':>8} {'refused':>9} {'per 100 files':>14}")
        ours = sys.executable
        _row("modelhub", ours, _MODELHUB, attacks, benign)
        _row("torch.load(weights_only=True)", ours, _TORCH, attacks, benign)
        for peer, program in zip(PEERS, (_PICKLESCAN, _FICKLING, _MODELSCAN), strict=True):
            python = _installed(peer, work / peer.partition("=")[0])
            if python:
                _row(peer.replace("==", " "), python, program, attacks, benign)
            else:
                print(f"{peer.replace('==', ' '):34} could not be installed here")
        assert not list((work / "markers").iterdir()), "an attack was carried out by one of them"


def _live(work: Path, attacks: dict[Path, Path]) -> list[Path]:
    """The attacks that leave their markers when torch loads the files; the markers are removed again."""
    program = _TORCH.replace("weights_only=True", "weights_only=False") + _LOOP
    subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([str(path) for path in attacks]),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=work,
        check=False,
    )
    time.sleep(3)  # some run in the background
    live = [path for path, marker in attacks.items() if marker.exists()]
    for path in attacks.keys() - set(live):
        print(f"{path.name} was left out: torch does not carry it out")
        path.unlink()
    shutil.rmtree(work / "markers")
    (work / "markers").mkdir()
    return live


def _row(name: str, python: str, program: str, attacks: list[Path], benign: list[Path]) -> None:
    """Ask one scanner about every file, in one process of its own, and print what it gets wrong."""
    paths = [str(path) for path in attacks + benign]
    done = subprocess.run(
        [python, "-c", program + _LOOP],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        print(f"{name:34} failed: {done.stderr.strip().splitlines()[-1:]}")
        return
    found = json.loads(done.stdout)
    safe = set(found["safe"])
    missed = [path for path in attacks if str(path) in safe]
    refused = [path for path in benign if str(path) not in safe]
    seconds = 100 * found["seconds"] / len(paths)
    print(f"{name:34} {len(missed):4}/{len(attacks)} {len(refused):5}/{len(benign)} {seconds:12.2f} s", flush=True)
    if name == "modelhub":
        for path in missed + refused:
            print(f"  wrong: {path.name}")


def _installed(peer: str, folder: Path) -> str | None:
    """The Python of a new environment that holds `peer`; None when it cannot be installed."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer, "typing_extensions"],
        capture_output=True,
        check=False,
    )
    return None if done.returncode else python


def _attacks(work: Path) -> Iterator[tuple[Path, Path]]:
    """Files, each with the marker that it makes: every payload in an archive, one in every container, misleading files."""
    from pickle_attacks import CONTAINERS, LIVE, LOADER_LIVE, STOP
    from pickle_gadgets import FILES, PYTHON, TORCH, run_script

    def place(name: str) -> tuple[Path, Path]:
        return work / "attacks" / f"{name}.ckpt", work / "markers" / str(zlib.crc32(name.encode()))

    made = {
        name: lambda m, p=payload: CONTAINERS["zip"](p(m) + STOP)
        for name, payload in (LIVE | LOADER_LIVE | PYTHON | TORCH).items()
    }
    one = LIVE["GLOBAL and REDUCE"]
    made |= {
        name: lambda m, wrap=wrap: wrap(one(m) + STOP)
        for name, wrap in CONTAINERS.items()
        if name not in ("zip", "torchscript")
    }
    for name, payload in (made | FILES).items():
        path, marker = place(name.replace("/", " "))
        path.write_bytes(payload(str(marker)))
        yield path, marker
    path, marker = place("TorchScript")
    run_script(work, "save", str(path), str(marker))
    yield path, marker


def _benign(work: Path) -> Iterator[Path]:
    """Every harmless file of the tests, and the legacy files of the demo."""
    from pickle_benign import write_all

    yield from (path for _, path in write_all(work / "benign"))
    yield from sorted(path for path in DEMO.iterdir() if path.suffix in (".pt", ".pth"))
