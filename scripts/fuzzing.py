"""Files made at random, by the strategies of the tests, until the time is up; what fails is made small and kept.

Exit code 1 when anything failed. The file that is being read stands in the folder that is named, also after a crash.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.strategies import SearchStrategy

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "formats"))

from fuzz_changes import changes, check_changes, check_zip, zips
from fuzz_headers import check_gguf, check_safetensors, gguf_files, safetensors_files
from fuzz_opcodes import check_opcodes, opcodes

Check = Callable[[bytes, Path], None]

TARGETS: dict[str, tuple[SearchStrategy[bytes], Check]] = {
    "opcodes": (opcodes, check_opcodes),
    "changes": (changes, check_changes),
    "zip": (zips, check_zip),
    "safetensors": (safetensors_files(), check_safetensors),
    "gguf": (gguf_files, check_gguf),
}
BATCH = 2000
#: Seconds of CPU that one small file may take.
PATIENCE = 2.0


class Run:
    """One target: how many examples were done, and the last one that failed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.strategy, self.check = TARGETS[name]
        self.name, self.folder = name, folder
        self.done, self.failing, self.slowest = 0, b"", 0.0

    def example(self, data: bytes) -> None:
        """Check one file; what takes too long fails as well."""
        self.done += 1
        started = time.process_time()
        try:
            self.check(data, self.folder)
            took = time.process_time() - started
            self.slowest = max(self.slowest, took)
            assert took < PATIENCE, f"{took:.1f} s for {len(data)} bytes"
        except BaseException:
            self.failing = data
            raise

    def batch(self, number: int) -> str:
        """Check many files; what went wrong, "" for nothing."""
        options = settings(
            max_examples=BATCH, deadline=None, database=None, verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        )  # fmt: skip
        try:
            seed(number)(options(given(self.strategy)(self.example)))()
        except BaseException:
            if not self.failing:
                raise
            return traceback.format_exc(limit=-4)
        return ""


def fuzz(run: Run, minutes: float, start: int) -> bool:
    """Run batches until the time is up or one fails; whether all held."""
    end, number, wrong = time.monotonic() + 60 * minutes, start, ""
    while time.monotonic() < end and not wrong:
        wrong = run.batch(number)
        number += 1
    print(f"{run.name:12} seeds {start} to {number - 1}, {run.done} examples, slowest {run.slowest:.2f} s: ", end="")
    if not wrong:
        print("all held")
        return True
    kept = Path(f"fuzz-{run.name}-{number - 1}.bin")
    kept.write_bytes(run.failing)
    print(f"FAILED; the file is kept as {kept.resolve()}\n{wrong}")
    return False


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long, for all targets together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9), help="where to begin")
    parser.add_argument(
        "targets",
        nargs="*",
        choices=[*TARGETS, []],
        metavar="TARGET",
        help=f"which: {', '.join(TARGETS)} (default: all)",
    )
    args = parser.parse_args()
    faulthandler.enable()
    names = args.targets or list(TARGETS)
    with tempfile.TemporaryDirectory(prefix="modelhub-fuzz-") as folder:
        print(f"reading {folder}/soup.*")
        held = [fuzz(Run(name, Path(folder)), args.minutes / len(names), args.seed) for name in names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
