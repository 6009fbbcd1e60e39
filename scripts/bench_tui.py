"""Benchmark of the TUI: how soon it is seen over 50,000 assets, and how soon a key is while scrolling, beside bare Textual."""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_catalog import _fill
from bench_terminal import Terminal
from bench_tools import as_installed, layout, workplace, write_random

HERE = Path(__file__).parent
RIVALS = [sys.executable, str(HERE / "bench_tui_rivals.py")]
OURS = [sys.executable, "-m", "modelhub"]
_ROWS = 40
#: Keys to measure, and what is typed for them.
KEYS = {"down": "\x1b[B", "page down": "\x1b[6~"}
#: A row of a list; after a mark, as in `? model-000027`, it is what fits the asset under the cursor.
_NAME = re.compile(rb"(?<![?\x93\x97] )model-(\d{6})")


def bench_tui(args: argparse.Namespace) -> None:
    """First paint and key-to-paint over 50,000 assets, also while a merge is written, beside Textual's DataTable."""
    with workplace(args.folder) as work:
        home = work / "home"
        _fill(home, args.assets)
        _number(home)
        env = as_installed(work)
        env["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), env.get("PYTHONPATH", "")])
        print(f"{args.assets:,} assets, 120x40, {os.cpu_count()} cores; {args.rounds} rounds in turn")
        _first_paint(args.rounds, env, home)
        _scrolling(args.rounds, env, home, _pair(work))


def _number(home: Path) -> None:
    """Short names in the order of their ids, which can be told apart in what is painted."""
    with sqlite3.connect(home / "catalog.db") as db:
        db.execute(
            """UPDATE assets SET name = printf('model-%06d.safetensors', id),
            path = printf('/models/f%d/model-%06d.safetensors', id % 300, id)"""
        )


def _pair(work: Path) -> tuple[Path, Path]:
    """Two checkpoints of SD 1.5 to merge."""
    found = [work / f"parent{seed}.safetensors" for seed in range(2)]
    for seed, path in enumerate(found):
        write_random(path, layout("sd15"), seed)
    return found[0], found[1]


def _first_paint(rounds: int, env: dict[str, str], home: Path) -> None:
    """From the start of the process to the first row."""
    commands = {"bare": ([*RIVALS, "empty"], lambda seen: b"ready to be seen" in seen), "ours": (OURS, _NAME.search)}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, (command, fits) in commands.items():
            with _running(command, env) as terminal:
                times[name].append(terminal.until(fits)[1] - terminal.started)
    bare, ours = (statistics.median(times[name][1:]) for name in commands)
    with _running([*RIVALS, "table", str(home)], env) as terminal:
        table = terminal.until(_NAME.search)[1] - terminal.started
    print(f"first row painted: modelhub {ours:.2f} s; bare Textual with one line {bare:.2f} s: {ours / bare:.2f} x")
    print(f"                   Textual's DataTable of the same rows {table:.2f} s: {ours / table:.3f} x")


def _scrolling(rounds: int, env: dict[str, str], home: Path, pair: tuple[Path, Path]) -> None:
    """From a key to the row that it leads to."""
    commands = {
        "DataTable": [*RIVALS, "table", str(home)],
        "modelhub": OURS,
        "modelhub, merging": [*RIVALS, "merging", str(home), *map(str, pair)],
    }
    print(f"{'key to paint':18}  {'key':10} {'median':>9} {'90 %':>9} {'worst':>9}")
    for name, command in commands.items():
        with _running(command, env) as terminal:
            terminal.until(_NAME.search)
            terminal.drain(2.0)
            for key, times in _keys(terminal, 20 * rounds).items():
                median, most = statistics.median(times), sorted(times)[int(len(times) * 0.9)]
                print(f"{name:18}  {key:10} {median * 1e3:6.1f} ms {most * 1e3:6.1f} ms {max(times) * 1e3:6.1f} ms")
    while any(pair[0].parent.glob("*.part")):  # the process that merges clears up when the interface is gone
        time.sleep(0.1)


def _keys(terminal: Terminal, count: int) -> dict[str, list[float]]:
    """The seconds until a row below the last one is painted, for every key, every time it was typed."""
    for _ in range(_ROWS):  # the cursor is at the foot, so that each key scrolls
        terminal.type(KEYS["down"])
    terminal.drain(1.0)
    found: dict[str, list[float]] = {key: [] for key in KEYS}
    last = _ROWS + 1
    for key, typed in KEYS.items():
        for _ in range(count):
            began = terminal.type(typed)
            seen, at = terminal.until(lambda text: _furthest(text, last) > last)  # noqa: B023 (called at once)
            found[key].append(at - began)
            last = max(_furthest(seen, last), _furthest(terminal.drain(), last))
    return found


def _furthest(text: bytes, last: int) -> int:
    """The lowest row that was painted; names far below the `last` one stand in other panes."""
    return max((row for row in map(int, _NAME.findall(text)) if row <= last + 2 * _ROWS), default=0)


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(command, env)
    try:
        yield terminal
    finally:
        terminal.close()
