"""What is no LoRA against a model: embeddings, VAEs, ControlNets and so on get the same kind of answer.

Everything comes from what `identify` measured, so a row of the catalog is enough and no file is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from modelhub.catalog.companions import table
from modelhub.lora.checking.answer import Answer, Reason
from modelhub.lora.checking.companions import encoders, is_pruned, size
from modelhub.lora.checking.embeddings import check_embedding
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.shapes import titles
from modelhub.lora.checking.telling import ENCODERS, Finding, finding, same_family, same_size, told
from modelhub.lora.checking.vaes import check_vae

#: Kinds that `check_other` says something about; others it calls unknown.
OTHERS = (
    "embedding", "vae", "text-encoder", "controlnet", "t2i-adapter", "ip-adapter", "hypernetwork", "motion-module",
    "upscaler", "clip-vision", "other",
)  # fmt: skip


def check_other(one: Known, model: Known, sha256: str | None = None) -> Answer:
    """Whether `one`, a file of any kind but LoRAs and models themselves, goes with `model`.

    `sha256` is the hash of `one` if it is known: a released VAE is known by it.
    """
    if one.kind == "vae":
        return check_vae(one, model, sha256)
    if one.kind == "embedding":
        return check_embedding(one, model)
    checked, findings = _CHECKS.get(one.kind, _UNKNOWN)
    return told(one, model, [*findings(one, model), *_asks(one)], checked=checked)


def _asks(one: Known) -> Iterator[Finding]:
    say = table()["asks"].get(f"{one.kind} {one.variant}")
    if say:
        yield finding("asks", say)


def _pruned(one: Known, model: Known) -> Iterator[Finding]:
    if is_pruned(model):
        say = f"The model ({model.variant}) has fewer blocks than {_title(model)}: it may meet others than its own."
        yield finding("pruned-model", say, "caution")


def _unet(one: Known, model: Known) -> Iterator[Finding]:
    """What is made for the blocks of a U-Net: family, channels, and the width of the text."""
    yield from same_family(one, model)
    yield from same_size(one, model, "context", "width of the text")
    yield from same_size(one, model, "model_channels", "number of channels")
    yield from same_size(one, model, "hidden", "width of a block")
    yield from _pruned(one, model)


def _controlnet(one: Known, model: Known) -> Iterator[Finding]:
    yield from _unet(one, model)
    hint = size(one, "hint_channels")
    if hint not in (None, 3):
        yield finding("hint", f"Its control picture has {hint} channels, not the 3 of a colour picture.")


def _ip_adapter(one: Known, model: Known) -> Iterator[Finding]:
    yield from _unet(one, model)
    width = size(one, "image_width")
    if width is not None:
        table_of = table()["image_encoders"]
        form = _form(one.variant, table_of)
        known = table_of[form].get(str(width))
        encoder = f"{known} ({width} wide)" if known else f"an image encoder {width} wide"
        yield finding("image-encoder", f"It needs {encoder} beside the model.")


def _form(variant: str | None, known: dict[str, Any]) -> str:
    """What the adapter takes of the image encoder: whole, inner or faces."""
    if variant in known["takes_inner"]:
        return "inner"
    return "faces" if variant in known["takes_faces"] else "whole"


def _hypernetwork(one: Known, model: Known) -> Iterator[Finding]:
    """Its layers change keys and values by their widths: that of the text, and those of the U-Net's levels."""
    widths = one.facts.get("widths") or []
    context, channels = size(model, "context"), size(model, "model_channels")
    if not widths or context is None or channels is None:
        yield from same_family(one, model)
        return
    used = [width for width in widths if width == context or width in (channels, 2 * channels, 4 * channels)]
    words = ", ".join(map(str, widths))
    if context in used:
        yield finding("same-context", f"It has layers for text of width {context}, as the model takes.")
    elif model.architecture == one.architecture or not one.architecture:
        say = f"It has no layers for the text of the model ({context} wide), only for {words}: it does less."
        yield finding("no-text-layers", say, "caution" if used else "incompatible")
    else:
        say = f"Its layers are for widths {words}, the text of the model is {context} wide."
        reason = Reason("other-context", say, "incompatible")
        yield Finding(reason, "width of the text", f"widths {words}", f"width {context}")


def _motion_module(one: Known, model: Known) -> Iterator[Finding]:
    yield from same_family(one, model)
    yield from same_size(one, model, "model_channels", "number of channels")
    yield from _pruned(one, model)
    frames = size(one, "frames")
    if frames is not None:
        yield finding("frames", f"It knows up to {frames} frames at once.")


def _text_encoder(one: Known, model: Known) -> Iterator[Finding]:
    takes = encoders(model)
    mine = _bundled(one)
    if not takes or not mine:
        return
    used = [encoder for encoder in mine if encoder in takes]
    listed, held = _named(takes), _named(mine)
    if not used:
        say = f"The file is {held}; {_title(model)} takes {listed}."
        yield Finding(Reason("other-encoder", say, "incompatible"), "text_encoder", held, listed)
        return
    width, wanted = size(one, "width"), takes[used[0]]
    if len(mine) == 1 and width and wanted and width != wanted:
        say = f"{_named(used[:1])} is {width} wide, the model takes {wanted}."
        yield Finding(Reason("other-width", say, "incompatible"), used[0], f"width {width}", f"width {wanted}")
        return
    if one.variant == "umt5":
        yield finding("other-encoder", "It is UMT5, which has the shapes of T5 and other words.", "incompatible")
        return
    yield finding("same-encoder", f"It goes in the place of {_named(used)} of the model.")


def _title(model: Known) -> str:
    """What people call the architecture of a model."""
    return titles((model.architecture or "such a model",))


def _named(encoders: Iterable[str]) -> str:
    """What people call text encoders."""
    return ", ".join(ENCODERS.get(one, one) for one in encoders)


def _bundled(one: Known) -> list[str]:
    """The text encoders in a file, by architecture."""
    found = one.facts.get("bundle") or ([one.architecture] if one.architecture else [])
    return [encoder for encoder in found if isinstance(encoder, str)]


def _upscaler(one: Known, model: Known) -> Iterator[Finding]:
    factor = one.facts.get("scale")
    by = f" and makes them {factor} times as large" if factor not in (None, 1) else ""
    yield finding("works-on-pictures", f"It works on pictures{by}: it goes with every model.")


def _image_encoder(one: Known, model: Known) -> Iterator[Finding]:
    say = "It reads pictures for IP-Adapters and the like; whether it fits is a question to those, not to the model."
    yield finding("for-adapters", say, "unknown")


def _nobody(one: Known, model: Known) -> Iterator[Finding]:
    if one.kind == "unknown":
        yield finding("unknown-kind", "What this file is nobody knows: it looks like no LoRA, nor its kin.", "unknown")
    else:
        yield finding("unknown-kind", f"How a file of kind {one.kind} fits a model is not known.", "unknown")


_Check = tuple[tuple[str, ...], Callable[[Known, Known], Iterator[Finding]]]
_UNKNOWN: _Check = ((), _nobody)
_CHECKS: dict[str, _Check] = {
    "controlnet": (("family", "width of the text", "channels"), _controlnet),
    "t2i-adapter": (("family", "channels"), _unet),
    "ip-adapter": (("family", "width of the text"), _ip_adapter),
    "hypernetwork": (("widths of the layers",), _hypernetwork),
    "motion-module": (("family", "channels"), _motion_module),
    "text-encoder": (("family", "width"), _text_encoder),
    "upscaler": (("kind",), _upscaler),
    "clip-vision": (("kind",), _image_encoder),
    "other": (("family",), same_family),
}
