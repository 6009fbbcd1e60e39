"""What a network predicts and which noise it knows: as the user says, as the file says, or as its family has it."""

from __future__ import annotations

import numpy as np

from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.formats.source import TensorSource
from modelhub.preview.denoising.guidance import PREDICTIONS, Prediction
from modelhub.preview.sampling.levels import (
    FLUX_SHIFT,
    SCHNELL_SHIFT,
    FlowLevels,
    Levels,
    NoiseLevels,
    scaled_linear,
    zero_terminal,
)

#: In SD2 this small tensor spreads wider after the long v-prediction training: the rule of ComfyUI's model detection.
_PROBE, _SPREAD = "output_blocks.11.1.transformer_blocks.0.norm1.bias", 0.09
#: Where latent diffusion keeps its noise levels in a file, and how far these may be rounded off those of its family:
#: many files store them in half precision, where the sigma of timestep 0 is off by 7 %.
_ALPHAS, _ROUNDING = "alphas_cumprod", 2**-8
#: What no model is without: the last level of zero terminal SNR as A1111 has it.
_LEAST = 4.8973451890853435e-08


def prediction_of(
    source: TensorSource, identity: Identity, prefix: str, usual: str, wanted: str | None = None
) -> Prediction:
    """The formula for the denoiser below `prefix`: as `wanted`, else as identified, else probed (SD2), else `usual`.

    SD2-base and 768-v have the same names and shapes, so for them one tensor of 320 numbers is read. Raises
    IncompatibleError for a prediction type that modelhub does not render, UsageError for one that there is not.
    """
    if wanted is not None and wanted not in PREDICTIONS:
        raise UsageError(f"There is no prediction type '{wanted}'.", f"Choose one of: {', '.join(PREDICTIONS)}.")
    name = wanted or identity.prediction or _probed(source, identity, prefix) or usual
    if name not in PREDICTIONS:
        raise IncompatibleError(
            f"A denoiser that predicts {name} cannot be rendered.", f"Previews work for: {', '.join(PREDICTIONS)}."
        )
    return PREDICTIONS[name]


def _probed(source: TensorSource, identity: Identity, prefix: str) -> str | None:
    if identity.architecture != "sd2" or prefix + _PROBE not in source.header.tensors:
        return None
    spread = source.tensor(prefix + _PROBE).float().std(correction=0).item()
    return "v" if spread > _SPREAD else "epsilon"


def levels_of(source: TensorSource, identity: Identity, zero_snr: bool | None = None) -> Levels:
    """The noise levels of a U-Net: those in the file where they are not just its family's, rounded; else the family's.

    `zero_snr` ends them at a signal of zero (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are
    Flawed"); None does so where a marker in the file says it.
    """
    usual = scaled_linear()
    own = _levels_in(source)
    is_own = own is not None and (len(own) != len(usual) or not np.allclose(own.alphas, usual.alphas, rtol=_ROUNDING))
    found = own if own is not None and is_own else usual
    wanted = bool(identity.facts.get("zero_terminal_snr")) if zero_snr is None else zero_snr
    return zero_terminal(found) if wanted else found


def _levels_in(source: TensorSource) -> NoiseLevels | None:
    """The levels that a file holds, if they can be any: alphas that fall from 1 to 0."""
    info = source.header.tensors.get(_ALPHAS)
    if info is None or info.dtype not in FLOAT_DTYPES or len(info.shape) != 1 or not 10 <= info.numel <= 10_000:
        return None
    alphas = source.tensor(_ALPHAS).double().numpy()
    if not np.isfinite(alphas).all() or not (np.diff(alphas) < 0).all() or alphas[0] >= 1 or alphas[-1] < 0:
        return None
    return NoiseLevels(np.maximum(alphas, _LEAST))


def flow_levels(*, guided: bool) -> Levels:
    """The levels of Flux: shifted as at 1024 x 1024 pixels for dev, less for schnell, which takes no guidance."""
    return FlowLevels(FLUX_SHIFT if guided else SCHNELL_SHIFT)
