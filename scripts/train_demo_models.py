#!/usr/bin/env python
"""Train the demo models anew, from nothing but procedural pictures, on a CPU.

    python scripts/train_demo_models.py --out build/demo            all stages, about two hours on two cores
    python scripts/train_demo_models.py --out build/demo --stage base --minutes 30
    python scripts/train_demo_models.py --out build/demo --quick    20 steps of everything, to see that it runs

Each stage leaves its result in OUT/parts, so stages can be repeated one by one. `full` puts whole checkpoints into
OUT/full, `package` puts what belongs into catalog/demo into OUT, and needs nothing but OUT/full for that. Seeds are
fixed, but stages end by the clock: a second run gives models that are close, not equal. With --steps, and minutes
enough for them, it gives the same ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from demo_training.budget import Budget
from demo_training.workshop import MINUTES, STAGES, Workshop


def main(arguments: list[str] | None = None) -> None:
    """Run the stages that the command line names, all by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results, such as build/demo")
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this stage; may be given several times")
    parser.add_argument("--minutes", type=float, help="wall time of each stage, instead of its own")
    parser.add_argument("--steps", type=int, default=10**9, help="end each stage after so many steps, such as 500")
    parser.add_argument(
        "--quick", action="store_true", help="20 steps of everything: models that load but draw nothing"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of torch, such as 4")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    steps, pool = (min(20, given.steps), 100) if given.quick else (given.steps, 3000)
    minutes = dict.fromkeys(MINUTES, given.minutes) if given.minutes else MINUTES
    workshop = Workshop(given.out, lambda stage: Budget(minutes[stage], steps, pool))
    for stage in given.stage or STAGES:
        print(f"== {stage}", flush=True)
        workshop.run(stage)


if __name__ == "__main__":
    main()
