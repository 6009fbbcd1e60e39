"""What a request for pictures asks for, from the fields of `txt2img` and `img2img`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import randrange
from typing import TYPE_CHECKING, Any

import numpy as np

from modelhub.errors import UsageError
from modelhub.preview.pictures.spelling import read_sampler, read_schedule
from modelhub.preview.request import Hires, Request, Start, Variation
from modelhub.preview.upscaling.names import without_file
from modelhub.server.api.body import Body, FieldError
from modelhub.server.api.images import unpack
from modelhub.server.api.models import NONE
from modelhub.server.api.options import SETTINGS, read_settings
from modelhub.text import plural

if TYPE_CHECKING:
    import numpy.typing as npt

_SEEDS = 1 << 32
#: Pixels of all pictures of a request together: 64 of 1024 × 1024.
_MOST_PIXELS = 1 << 26
_USUAL_SIDE = 1024
#: Fields of this interface and what a request calls them.
_NUMBERS = {
    "steps": "steps", "width": "width", "height": "height", "distilled_cfg_scale": "guidance", "cfg_scale": "cfg",
    "refiner_switch_at": "switch_at",
}  # fmt: skip
_WHOLE = ("steps", "width", "height")
_TUNING = {"eta": "eta", "s_churn": "churn", "s_tmin": "churn_min", "s_tmax": "churn_max", "s_noise": "noise"}
#: Fields that say how an answer is kept elsewhere, of which nothing is kept here.
_OF_NO_MATTER = (
    "do_not_save_samples", "do_not_save_grid", "comments", "force_task_id", "override_settings_restore_afterwards",
    "mask_round", "inpaint_full_res_padding", "send_images",
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """The names of models, "" for what is usual, and what is said of the pictures; `notes` tell what is left out."""

    model: str = ""
    vae: str = ""
    refiner: str = ""
    sends: bool = True
    given: Mapping[str, Any] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def request(self, usual: Request) -> Request:
        """The request, where `usual` is what suits the model. Raises UsageError for what is out of range."""
        return replace(usual, **self.given, tuning=replace(usual.tuning, **self.tuning))


def read_wish(fields: Any, options: Mapping[str, Any], *, from_picture: bool = False) -> Wish:
    """What a body asks for on top of the options of the server; `from_picture`: of `img2img`.

    Raises FieldError and UsageError for what cannot be, NotFoundError for an unknown sampler or schedule.
    """
    body = Body.of(fields)
    inner = body.inner("override_settings")
    settings = {**options, **read_settings(inner)}
    given: dict[str, Any] = {"prompt": body.text("prompt") or "", "negative": body.text("negative_prompt") or ""}
    given |= _numbers(body) | _sampling(body) | _seeds(body) | _of_settings(settings)
    if from_picture:
        given["start"] = _start(body, given)
    elif body.yes("enable_hr"):
        given["hires"] = _hires(body)
    _check_pixels(given)
    wish = Wish(
        model=str(settings["sd_model_checkpoint"] or ""),
        vae=_named(settings["sd_vae"]),
        refiner=_named(body.text("refiner_checkpoint")),
        sends=fields.get("send_images") is not False,
        given=given,
        tuning={name: value for key, name in _TUNING.items() if (value := body.number(key)) is not None},
    )
    return replace(wish, notes=(*_left_out(body, inner),))


def _numbers(body: Body) -> dict[str, Any]:
    found = {name: body.whole(key) if key in _WHOLE else body.number(key) for key, name in _NUMBERS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _sampling(body: Body) -> dict[str, Any]:
    """Sampler and schedule; one that is said apart counts more than one in the sampler's name."""
    index, name, label = body.text("sampler_index"), body.text("sampler_name"), body.text("scheduler")
    sampler, schedule = read_sampler(name or index or "") if name or index else (None, None)
    found = {"sampler": sampler, "schedule": read_schedule(label) if label else schedule}
    return {key: value for key, value in found.items() if value is not None}


def _seeds(body: Body) -> dict[str, Any]:
    """Seed, how many, and the variation; -1 is any seed."""
    seed, other, strength = body.whole("seed"), body.whole("subseed"), body.number("subseed_strength")
    found: dict[str, Any] = {
        "seed": _any(seed),
        "batch": (body.whole("batch_size") or 1) * (body.whole("n_iter") or 1),
    }
    if strength:
        found["variation"] = Variation(_any(other), strength)
    width, height = body.whole("seed_resize_from_w") or 0, body.whole("seed_resize_from_h") or 0
    if width > 0 and height > 0:
        found["resize_from"] = (width, height)
    return found


def _any(seed: int | None) -> int:
    return randrange(_SEEDS) if seed is None or seed == -1 else seed


def _of_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[key] for key, name in SETTINGS.items()}


def _hires(body: Body) -> Hires:
    """The second pass."""
    width, height = body.whole("hr_resize_x") or None, body.whole("hr_resize_y") or None
    name, label = body.text("hr_sampler_name"), body.text("hr_scheduler")
    sampler, schedule = read_sampler(name) if name and not _as_first(name) else (None, None)
    upscaler = body.text("hr_upscaler")
    found: dict[str, Any] = {
        "scale": body.number("hr_scale"),
        "width": width,
        "height": height,
        "upscaler": upscaler and (without_file(upscaler) or upscaler),
        "steps": body.whole("hr_second_pass_steps"),
        "denoise": body.number("denoising_strength"),
        "sampler": sampler,
        "schedule": read_schedule(label) if label and not _as_first(label) else schedule,
        "cfg": body.number("hr_cfg"),
        "prompt": body.text("hr_prompt"),
        "negative": body.text("hr_negative_prompt"),
    }
    return Hires(**{key: value for key, value in found.items() if value is not None})


def _as_first(name: str) -> bool:
    return name.lower().startswith("use same")


def _start(body: Body, given: Mapping[str, Any]) -> Start:
    """The picture to start from, and what of it stays."""
    images, mask = body.texts("init_images"), body.text("mask")
    if not images:
        raise FieldError("init_images", "must have a picture")
    if len(images) > 1:
        raise FieldError("init_images", "must have one picture; send others with requests of their own")
    pixels = unpack(images[0], "init_images").pixels
    found: dict[str, Any] = {
        "denoise": body.number("denoising_strength"),
        "image_cfg": body.number("image_cfg_scale"),
        "mask_blur": body.whole("mask_blur"),
    }
    if mask is not None:
        found["mask"] = _mask(mask, invert=body.yes("inpainting_mask_invert"), like=pixels)
    if body.whole("resize_mode") == 1 and {"width", "height"} <= set(given):
        size = (given["width"], given["height"])
        pixels = _cut(pixels, *size)
        if "mask" in found:
            found["mask"] = _cut(found["mask"], *size)
    return Start(pixels, **{key: value for key, value in found.items() if value is not None})


def _mask(text: str, *, invert: bool, like: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What is to be made anew as [H, W]: what is bright in a picture (ITU-R BT.601)."""
    pixels = unpack(text, "mask").pixels
    if pixels.shape != like.shape:
        raise FieldError("mask", "must be as large as the picture that it is for")
    bright: npt.NDArray[np.uint8] = (pixels @ np.array((0.299, 0.587, 0.114))).round().astype(np.uint8)
    return 255 - bright if invert else bright


def _cut(pixels: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """The middle of [H, W, ...], in the proportion of a size."""
    tall, wide = pixels.shape[:2]
    new_tall, new_wide = min(tall, max(1, wide * height // width)), min(wide, max(1, tall * width // height))
    top, left = (tall - new_tall) // 2, (wide - new_wide) // 2
    return np.ascontiguousarray(pixels[top : top + new_tall, left : left + new_wide])


def _check_pixels(given: Mapping[str, Any]) -> None:
    """Raise UsageError for pictures that would not fit into memory and an answer."""
    width, height = given.get("width", _USUAL_SIDE), given.get("height", _USUAL_SIDE)
    hires, batch = given.get("hires"), given["batch"]
    if batch < 1:
        raise FieldError("batch_size", "and n_iter must be 1 or more")
    if hires is not None:
        width, height = (hires.width, hires.height) if hires.width else (width * hires.scale, height * hires.scale)
    if batch * width * height > _MOST_PIXELS:
        raise UsageError(
            f"{plural(batch, 'picture')} of {width:g}x{height:g} are too many pixels for one request.", "Send several."
        )


def _named(word: Any) -> str:
    return "" if word is None or str(word).lower() in NONE else str(word)


def _left_out(body: Body, inner: Body) -> list[str]:
    """What nobody has read and says something, in a sentence."""
    rest = [key for key in (*body.rest(), *inner.rest()) if key not in _OF_NO_MATTER]
    return [f"Left out, because this renderer does not know it: {', '.join(sorted(rest))}."] if rest else []
