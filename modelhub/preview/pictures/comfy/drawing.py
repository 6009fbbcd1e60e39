"""The drawing of a workflow of ComfyUI, where a picture holds no more, as the graph that it would run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelhub.preview.pictures.reading.tables import rows

_SEED = ("seed", "noise_seed")
#: What stands behind a seed and is no input: how it changes with every run.
_AFTER_SEED = ("fixed", "increment", "decrement", "randomize")
#: Inputs of common nodes in the order of their values; newer drawings name them themselves.
_INPUTS: Mapping[str, Sequence[str]] = {
    "KSampler": ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "cfg"), "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",), "BasicScheduler": ("scheduler", "steps", "denoise"), "CFGGuider": ("cfg",),
    "CheckpointLoaderSimple": ("ckpt_name",), "UNETLoader": ("unet_name",), "UnetLoaderGGUF": ("unet_name",),
    "VAELoader": ("vae_name",), "CLIPLoader": ("clip_name",), "DualCLIPLoader": ("clip_name1", "clip_name2"),
    "DualCLIPLoaderGGUF": ("clip_name1", "clip_name2"),
    "TripleCLIPLoader": ("clip_name1", "clip_name2", "clip_name3"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"), "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CLIPTextEncode": ("text",), "FluxGuidance": ("guidance",), "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "EmptyLatentImage": ("width", "height"), "EmptySD3LatentImage": ("width", "height"),
    "LatentUpscale": ("upscale_method", "width", "height"), "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ImageScaleBy": ("upscale_method", "scale_by"), "UpscaleModelLoader": ("model_name",),
    "ControlNetLoader": ("control_net_name",), "PrimitiveNode": ("value",),
}  # fmt: skip
_MUTED, _BYPASSED = 2, 4


def graph_of(workflow: Mapping[str, Any] | None) -> dict[str, Any]:
    """The graph of a drawing, as a `prompt` chunk has it: nodes that are muted left out, those bypassed as reroutes.

    Values of nodes that are not common are known only where the drawing names them.
    """
    nodes = list(rows((workflow or {}).get("nodes")))
    links = dict(_links((workflow or {}).get("links")))
    named = {_name(node): node.get("id") for node in nodes if node.get("type") == "SetNode"}
    return {
        str(node.get("id")): {
            "class_type": "Reroute" if node.get("mode") == _BYPASSED else node["type"],
            "inputs": {**_values(node), **dict(_inputs(node, links, named))},
        }
        for node in nodes
        if isinstance(node.get("type"), str) and node.get("mode") != _MUTED
    }


def _links(said: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Node and output by the number of the link; links are lists, or tables in newer drawings."""
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict):
            one = [one.get("id"), one.get("origin_id"), one.get("origin_slot")]
        if isinstance(one, list) and len(one) > 2 and all(isinstance(part, int | str) for part in one[:3]):
            yield one[0], [str(one[1]), one[2]]


def _inputs(node: Mapping[str, Any], links: Mapping[Any, Any], named: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    if node["type"] == "GetNode" and _name(node) in named:
        yield "value", [str(named[_name(node)]), 0]
    for one in _handed_on(node) if node.get("mode") == _BYPASSED else rows(node.get("inputs")):
        link = one.get("link")
        if isinstance(link, int | str) and link in links:
            yield str(one.get("name")), links[link]


def _handed_on(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The inputs that a bypassed node hands on: for each output the one beside it, or the first of its type."""
    inputs = list(rows(node.get("inputs")))
    by_type = {str(one.get("type")): one for one in reversed(inputs)}
    for at, output in enumerate(rows(node.get("outputs"))):
        kind = str(output.get("type"))
        is_beside = at < len(inputs) and str(inputs[at].get("type")) in (kind, "*")
        found = inputs[at] if is_beside else by_type.get(kind) or by_type.get("*")
        if found is not None:
            yield found


def _values(node: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a node by the names of its inputs."""
    values = node.get("widgets_values")
    if node.get("mode") == _BYPASSED or not isinstance(values, list | dict):
        return {}
    if isinstance(values, dict):
        return values
    told = [str(one.get("name")) for one in rows(node.get("inputs")) if isinstance(one.get("widget"), dict)]
    return dict(_paired(_INPUTS.get(node["type"], told), values))


def _paired(names: Sequence[str], values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    rest = list(values)
    for name in names:
        if not rest:
            return
        yield name, rest.pop(0)
        if name in _SEED and rest and isinstance(rest[0], str) and rest[0] in _AFTER_SEED:
            rest.pop(0)


def _name(node: Mapping[str, Any]) -> str:
    """The name by which a node hands on what it gets, out of sight of the drawing."""
    values = node.get("widgets_values")
    return str(values[0]) if isinstance(values, list) and values else ""
