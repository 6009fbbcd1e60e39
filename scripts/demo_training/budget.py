"""How long a stage trains: until its minutes or its steps are over, whichever comes first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Minutes of wall time and a number of steps. `pool` is the number of captions made beforehand."""

    minutes: float
    steps: int = 10**9
    pool: int = 3000

    def run(self, what: str) -> Iterator[tuple[int, float]]:
        """Step numbers from 0 on and the spent part of the budget, 0 to 1; at least one step. Prints its pace."""
        start, step, spent = time.monotonic(), 0, 0.0
        while step == 0 or spent < 1:
            yield step, spent
            step += 1
            seconds = time.monotonic() - start
            spent = max(seconds / max(self.minutes * 60, 1e-9), step / self.steps)
            if step % 100 == 0 or spent >= 1:
                print(f"{what}: {step} steps, {seconds:.0f} s, {min(spent, 1):.0%}", flush=True)
