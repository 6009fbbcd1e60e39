"""What new adapters say of themselves: in the words of kohya's trainer, which most programs read, and of ModelSpec.

What was said of another form of the file (hashes of its data, ranks, settings of PEFT) is left out or written anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from modelhub.catalog.identity import Identity
from modelhub.formats.leaving import kept
from modelhub.text import is_utf8

#: Of the data as they were, and of factors whose scale is part of them now.
_OF_DATA = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "lora_adapter_metadata")
#: Of one training, which a merge is not.
_OF_TRAINING = ("ss_session_id", "ss_training_started_at", "ss_training_finished_at", "modelspec.date", "ss_steps")
#: What belongs together in one text, and the tags of all training sets.
_JOINED = {"modelspec.trigger_phrase": ", ", "modelspec.tags": ", ", "modelspec.license": " AND "}
_TAGS = "ss_tag_frequency"
_LONGEST, _MOST = 20_000, 4_000_000


class _Spec(NamedTuple):
    """What kohya's trainer and ModelSpec call an architecture, and who published its code."""

    base: str
    model: str
    implementation: str


_STABILITY, _FLUX = "https://github.com/Stability-AI/generative-models", "https://github.com/black-forest-labs/flux"
_SPECS: Mapping[str, _Spec] = {
    "sd1": _Spec("sd_v1", "stable-diffusion-v1", _STABILITY),
    "sd2": _Spec("sd_v2", "stable-diffusion-v2-512", _STABILITY),
    "sd2:v": _Spec("sd_v2_v", "stable-diffusion-v2-768-v", _STABILITY),
    "sdxl": _Spec("sdxl_base_v1-0", "stable-diffusion-xl-v1-base", _STABILITY),
    "sdxl-refiner": _Spec("", "stable-diffusion-xl-v1-refiner", _STABILITY),
    "sd3": _Spec("sd3m", "stable-diffusion-3-medium", _STABILITY),
    "flux1": _Spec("flux1", "flux-1-dev", _FLUX),
}
#: The modules that read a file; those of Flux and SD 3 have others than the U-Nets.
_MODULES = {"flux1": "networks.lora_flux", "sd3": "networks.lora_sd3"}


def number(value: float) -> str:
    """A number as trainers write it: 8, 0.5."""
    return str(int(value)) if value == int(value) else repr(value)


def new_metadata(identity: Identity, title: str, base: tuple[str, str | None], about: str) -> dict[str, str]:
    """Of a LoRA for models as `identity`, made from a `base` (name, SHA256 if known); `about` is a sentence."""
    name = identity.architecture or ""
    spec = _SPECS.get(f"{name}:{identity.prediction}") or _SPECS.get(name)
    found = {
        "ss_network_module": _MODULES.get(name, "networks.lora"),
        "ss_base_model_version": spec.base if spec else name,
        "ss_sd_model_name": base[0],
        "ss_new_sd_model_hash": base[1] or "",
        "ss_v2": str(name == "sd2"),
        "ss_output_name": title,
        "ss_training_comment": about,
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{spec.model}/lora" if spec else "",
        "modelspec.implementation": spec.implementation if spec else "",
        "modelspec.title": title,
        "modelspec.prediction_type": identity.prediction if identity.prediction in ("epsilon", "v") else "",
    }
    return {key: text for key, text in found.items() if text and is_utf8(text)}


def with_ranks(
    metadata: Mapping[str, str], linear: Collection[int], conv: Collection[int], scales: Collection[float]
) -> dict[str, str]:
    """With the ranks of its linear modules and of those with kernels, and alphas at these scales (alpha / rank)."""
    found = {**metadata, **_dims("ss_network_dim", "ss_network_alpha", linear or conv, scales)}
    arguments = _object(metadata.get("ss_network_args", ""))
    arguments = {key: value for key, value in arguments.items() if key not in ("conv_dim", "conv_alpha")}
    if conv:
        arguments |= _dims("conv_dim", "conv_alpha", conv, scales)
    if arguments or "ss_network_args" in metadata:
        found["ss_network_args"] = json.dumps(arguments)
    return found


def _dims(dim: str, alpha: str, ranks: Collection[int], scales: Collection[float]) -> dict[str, str]:
    """One number for all, or the word for several."""
    if not ranks:
        return {}
    alphas = {scale * rank for scale in scales for rank in ranks}
    rank = str(next(iter(ranks))) if len({*ranks}) == 1 else "Dynamic"
    return {dim: rank, alpha: number(alphas.pop()) if len(alphas) == 1 and rank != "Dynamic" else "Dynamic"}


def changed_metadata(metadata: Mapping[str, str], comment: str) -> dict[str, str]:
    """What an adapter says of itself, but for what its new form makes untrue, and with a sentence on what was done."""
    found = {key: text for key, text in kept(metadata).items() if key not in _OF_DATA}
    before = found.get("ss_training_comment", "")
    before = "" if before in ("None", "") or len(before) > _LONGEST else f"{before}; "
    return {**found, "ss_training_comment": before + comment}


def combined_metadata(every: Sequence[Mapping[str, str]], title: str, comment: str) -> dict[str, str]:
    """Of several adapters in one: what all say alike, the words and tags of all, and a sentence on what was done."""
    first = kept(every[0])
    found = {key: text for key, text in first.items() if all(one.get(key) == text for one in every)}
    found = {key: text for key, text in found.items() if key not in (*_OF_DATA, *_OF_TRAINING)}
    for key, mark in _JOINED.items():
        said = dict.fromkeys(text for one in every if 0 < len(text := one.get(key, "").strip()) <= _LONGEST)
        found |= {key: mark.join(said)} if said else {}
    tags = {name: value for one in every for name, value in _object(one.get(_TAGS, ""), _MOST).items()}
    found |= {_TAGS: json.dumps(tags)} if tags else {}
    named = {"ss_output_name": title, "modelspec.title": title, "ss_training_comment": comment}
    return {**found, **{key: text for key, text in named.items() if is_utf8(text)}}


def _object(text: str, most: int = _LONGEST) -> dict[str, object]:
    try:
        found = json.loads(text) if 0 < len(text) <= most else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
