"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from modelhub.errors import UsageError
from modelhub.preview.models.memory import host_memory, knows_bf16

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
#: Networks that were trained in bfloat16 and leave the range of float16.
_WIDE = frozenset({"flux1", "t5xxl"})


def pick_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the best one there is. Raises UsageError for one that is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(device for device in ("cuda", "mps", "cpu") if there[device]))
    if name not in there:
        raise UsageError(f"There is no device '{name}'.", f"Choose one of: {', '.join(DEVICES)}.")
    if not there[name]:
        raise UsageError(f"This machine has no '{name}' that torch can use.", "Use --device cpu, or auto.")
    return torch.device(name)


def compute_dtype(device: torch.device, part: str, precision: str = "auto") -> torch.dtype:
    """What a part computes in: "flux1" (a denoiser of Flux), "t5xxl", "vae", or anything else.

    On CUDA float16, where Flux and T5 have bfloat16, or float32 on devices without it; elsewhere float32: most CPUs
    convolve half precision 40 times slower, and mps is not proven in it. Another `precision` than "auto" is for all
    parts. Raises UsageError for one that there is not, for half precision on a CPU that only emulates it, and for
    bfloat16 where an Apple GPU has none.
    """
    if precision != "auto":
        return _wanted(device, precision)
    if device.type != "cuda":
        return torch.float32
    if part not in _WIDE:
        return torch.float16
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


def _wanted(device: torch.device, precision: str) -> torch.dtype:
    if precision not in _DTYPES:
        raise UsageError(f"There is no precision '{precision}'.", f"Choose one of: {', '.join(PRECISIONS)}.")
    dtype = _DTYPES[precision]
    if device.type == "cpu" and not computes_natively(dtype):
        raise UsageError(f"This CPU cannot compute in {precision}.", "Use --precision fp32, or auto.")
    if device.type == "mps" and dtype == torch.bfloat16 and not knows_bf16():
        raise UsageError("Before macOS 14 no GPU computes in bf16.", "Use --precision fp32, or auto.")
    return dtype


def computes_natively(dtype: torch.dtype) -> bool:
    """Whether this CPU computes in `dtype` itself; what it only emulates takes it 40 times as long."""
    if dtype == torch.float32:
        return True
    name = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}.get(dtype)
    asked = getattr(torch.ops.mkldnn, name, None) if name else None  # there is none where torch was built without it
    return bool(asked is not None and asked())


def keeps_stored(device: torch.device, size: int) -> bool:
    """Whether weights should stay in the dtype of their file, to be cast by each layer, not once when loaded.

    So on devices, where memory is dear and casts are cheap, and on a CPU without memory for `size` bytes of weights.
    """
    return device.type != "cpu" or size > host_memory() * 3 // 4


def synchronize() -> None:
    """Return when GPUs have done all that they were told to: they compute while Python goes on, and clocks with it."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    if torch.backends.mps.is_available():
        torch.mps.synchronize()
