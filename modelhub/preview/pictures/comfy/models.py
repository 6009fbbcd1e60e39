"""The models that nodes of ComfyUI load: checkpoints, VAEs, text encoders, LoRAs in all their stacks, upscalers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from modelhub.preview.pictures.comfy.graph import PIPES, Graph, Link, Node, through
from modelhub.preview.pictures.generation import Made, number, whole
from modelhub.preview.pictures.reading.a1111 import tagged
from modelhub.preview.pictures.reading.civitai import read_air

#: Models of one picture, and of each of its samplers, that are told.
MOST_MODELS = 500
#: Inputs of loaders, and what they name.
LOADS: Mapping[str, str] = {
    "ckpt_name": "checkpoint", "base_ckpt_name": "checkpoint", "checkpoint": "checkpoint",
    "checkpoint_name": "checkpoint", "unet_name": "diffusion-model",
    "gguf_name": "diffusion-model", "diffusion_model": "diffusion-model",
    "refiner_ckpt_name": "refiner",
}  # fmt: skip
_TEXT_ENCODERS = re.compile(r"(?:clip|text_encoder)_name[1-4]?")
_LORA = re.compile(r"lora_name(?:_?(\d{1,2}))?|lora_(\d{1,2})(?:_name)?")
#: How many of its numbered LoRAs a stack uses; the rest are left over from before.
_COUNTS = ("lora_count", "num_loras")
_NONE = ("none", "", "baked vae", "automatic")
#: Inputs for a LoRA's strength on the denoiser, and on the text encoders.
_DENOISER = ("strength_model", "model_str", "model_weight", "model_strength", "lora_wt", "strength")
_TEXT = ("strength_clip", "clip_str", "clip_weight", "clip_strength")
#: Ways from a sampler to its model, and past the stacks that hang beside it.
_TO_MODEL = through(
    "model", "base_model", "unet", "guider", "lora_stack", "optional_lora_stack", "model_opt", "sdxl_tuple", *PIPES
)  # fmt: skip
_TO_CLIP = through("clip", *PIPES, "lora_stack", "conditioning", "positive")
_TO_VAE = through("vae", *PIPES)


def models_before(graph: Graph, start: Link | None) -> Iterator[Made]:
    """The denoisers of the model at `start`, then its LoRAs, those nearest to it last; of too many the first."""
    return islice(_all_before(graph, start), MOST_MODELS)


def _all_before(graph: Graph, start: Link | None) -> Iterator[Made]:
    nodes = list(graph.back(start, _TO_MODEL)) if start else []
    for node in nodes:
        yield from loaded(node, LOADS)
    for node in reversed(nodes):
        yield from loras_of(graph, node)


def clip_before(graph: Graph, start: Link | None) -> tuple[list[Made], int | None]:
    """The text encoders that were loaded apart, and the clip skip."""
    found: list[Made] = []
    skip: int | None = None
    for node in graph.back(start, _TO_CLIP) if start else ():
        found += [Made("text-encoder", name) for name in _named(node, _TEXT_ENCODERS)]
        layer = graph.whole(node, "stop_at_clip_layer", "clip_skip")
        skip = -layer if skip is None and layer is not None and layer < 0 else skip
    return found, skip


def vae_before(graph: Graph, start: Link | None) -> Made | None:
    """The VAE, where it was loaded apart."""
    for node in graph.back(start, _TO_VAE) if start else ():
        name = node.values.get("vae_name")
        if isinstance(name, str) and name.lower() not in _NONE:
            return named("vae", name)
    return None


def loaded(node: Node, roles: Mapping[str, str]) -> Iterator[Made]:
    """What the inputs of a node name, by their names."""
    for name, role in roles.items():
        value = node.values.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str) and value.lower() not in _NONE:
            yield named(role, value)


def named(role: str, name: str) -> Made:
    """A model by its file, or by Civitai's name of it."""
    air = read_air(name)
    return Made(role, name) if air is None else replace(air, role=role)


def loras_of(graph: Graph, node: Node) -> Iterator[Made]:
    """The LoRAs of one node: of a loader, of a stack with numbered inputs or with tables, or of tags in its text."""
    for name, value in node.values.items():
        match = _LORA.fullmatch(name)
        if match is None:
            continue
        at = match[1] or match[2] or ""
        if isinstance(value, dict):
            yield from _of_table(value)
        elif isinstance(value, str) and value.lower() not in _NONE and not _is_off(node, at):
            weight = _strength(graph, node, at, _both(node) or _DENOISER)
            text = _strength(graph, node, at, _both(node) or _TEXT)
            yield replace(named("lora", value), weight=weight, text_weight=None if text == weight else text)
    told = (graph.text(node, name) for name in (("populated_text", "text") if "model" in node.links else ()))
    yield from tagged(next(filter(None, told), ""))


def _of_table(said: Mapping[str, Any]) -> Iterator[Made]:
    name = said.get("lora")
    if isinstance(name, str) and name.lower() not in _NONE and said.get("on", True) is not False:
        weight, text = number(said.get("strength")), number(said.get("strengthTwo"))
        yield replace(named("lora", name), weight=weight, text_weight=None if text == weight else text)


def _is_off(node: Node, at: str) -> bool:
    count = next((found for name in _COUNTS if (found := whole(node.values.get(name))) is not None), None)
    if at and (node.values.get("toggle") is False or (count is not None and int(at) > count)):
        return True
    said = node.values.get(f"switch_{at}") if at else None
    return said is False or (isinstance(said, str) and said.lower() in ("off", "false"))


def _strength(graph: Graph, node: Node, at: str, names: Iterable[str]) -> float | None:
    """By the names that stacks give it: `model_str_1`, `lora_1_model_strength`, or without a number."""
    spelled = [f"{name}_{at}" if at else name for name in names]
    return graph.number(node, *spelled, *(f"lora_{at}_{name}" if at else f"lora_{name}" for name in names))


def _both(node: Node) -> tuple[str, ...]:
    """The one strength of a stack in simple mode, which hides the two that it has besides."""
    is_simple = "simple" in (node.values.get("input_mode"), node.values.get("mode"))
    return ("lora_wt", "strength") if is_simple else ()


def _named(node: Node, pattern: re.Pattern[str]) -> Iterator[str]:
    for name, value in node.values.items():
        if pattern.fullmatch(name) and isinstance(value, str) and value.lower() not in _NONE:
            yield value
