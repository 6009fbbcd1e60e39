"""Record what k-diffusion's samplers make of the cases of the tests, for runs where k-diffusion is not installed.

    python scripts/record_samplers.py FOLDER    # of k-diffusion's source, with the package k_diffusion in it

Writes tests/data/samplers/k-diffusion.safetensors. k-diffusion's imports that samplers do not need are left out.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/preview/sampling")]
from sampling_world import CASES, LEVELS, Case, Draws, Seer  # noqa: E402


def k_diffusion(folder: Path) -> Any:
    """The module k_diffusion.sampling, without the rest of the package."""
    for name, attributes in (
        ("torchdiffeq", ["odeint"]),
        ("torchsde", []),
        ("k_diffusion", []),
        ("k_diffusion.utils", []),
    ):
        stub = types.ModuleType(name)
        for attribute in attributes:
            setattr(stub, attribute, None)
        sys.modules[name] = stub
    sys.modules["k_diffusion"].__path__ = [str(folder / "k_diffusion")]
    utils = sys.modules["k_diffusion.utils"]
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    sys.modules["k_diffusion"].utils = utils
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", folder / "k_diffusion/sampling.py")
    sampling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sampling)
    return sampling


class Torch:
    """torch with our draws in place of randn_like."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def randn_like(self, x: torch.Tensor) -> torch.Tensor:
        return self._draws()


def theirs(sampling: Any, case: Case, dtype: torch.dtype) -> tuple[torch.Tensor, Seer, Draws]:
    """What k-diffusion makes of a case: the picture, whom it asked, what it drew."""
    seer, draws = Seer(), Draws(2, dtype=dtype)
    sampling.torch = Torch(draws)
    arguments = dict(case.arguments, disable=True)
    if case.function.endswith("sde"):
        arguments["noise_sampler"] = draws.path
    if case.function.startswith("dpm_fast") or case.function == "dpm_adaptive":
        # Double, as the samplers make tensors of float32 of plain numbers.
        torch.set_default_dtype(dtype)
        ends = {"sigma_min": LEVELS.lowest, "sigma_max": LEVELS.highest}
        arguments |= ends | ({"n": case.steps} if case.function == "dpm_fast" else {})
    else:
        arguments["sigmas"] = case.sigmas.to(dtype)
    model = lambda x, sigma, **_: seer(x, float(sigma[0]))  # noqa: E731
    found = getattr(sampling, f"sample_{case.function}")(model, case.start(dtype), **arguments)
    torch.set_default_dtype(torch.float32)
    return found, seer, draws


def main() -> None:
    sampling = k_diffusion(Path(sys.argv[1]))
    tensors: dict[str, torch.Tensor] = {}
    for case in CASES:
        for dtype, bits in ((torch.float64, 64), (torch.float32, 32)):
            found, seer, draws = theirs(sampling, case, dtype)
            tensors[f"{case.name}/{bits}/picture"] = found
            tensors[f"{case.name}/{bits}/asked"] = torch.tensor(seer.asked, dtype=torch.float64)
            tensors[f"{case.name}/{bits}/times"] = torch.tensor(draws.times, dtype=torch.float64)
    where = ROOT / "tests/data/samplers/k-diffusion.safetensors"
    where.parent.mkdir(exist_ok=True)
    save_file(tensors, where, {"cases": json.dumps([case.name for case in CASES])})
    print(f"{where}: {len(CASES)} cases, {where.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
