"""What a request begins with where nothing is said: what suits a model; and what is better known beforehand."""

from __future__ import annotations

from modelhub.catalog.architectures import architecture
from modelhub.preview.request import Request, usual_settings
from modelhub.settings import load_settings


def usual_request(family: str | None) -> Request:
    """What suits an architecture; the usual of all where it is none that can be rendered."""
    return Request("", **usual_settings(architecture(family).preview if family else None))


def texts_of(request: Request) -> list[str]:
    """The prompts and negative prompts of both passes."""
    hires = request.hires
    return [request.prompt, request.negative, *([hires.prompt, hires.negative] if hires else [])]


def slow_notes(family: str | None, device: str | None) -> list[str]:
    """A warning about Flux without a GPU; `device` None is what the settings say."""
    if family != "flux1":
        return []
    from modelhub.preview.models.device import pick_device

    if pick_device(device or load_settings().device).type != "cpu":
        return []
    return ["Flux on a CPU takes minutes for every step at 512x512, and many times that at 1024x1024."]
