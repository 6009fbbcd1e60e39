"""Answers with pictures, and errors, in the shapes that clients of this interface read."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelhub import __version__
from modelhub.errors import ModelhubError, NotFoundError
from modelhub.server.api.body import FieldError
from modelhub.server.api.images import pack
from modelhub.server.api.line import BusyError

if TYPE_CHECKING:
    from modelhub.server.api.kitchen import Meal
    from modelhub.server.api.wishes import Wish

#: HTTP status by the exit code of an error: what the client can mend, and what it cannot.
_STATUS = {2: 422, 3: 500, 4: 422, 5: 502}


def pictures_answer(meal: Meal, wish: Wish, echo: dict[str, Any]) -> dict[str, Any]:
    """What `txt2img` and `img2img` answer; `echo` is the request."""
    pictures = meal.rendering.pictures
    images = [pack(picture.pixels, picture.infotext) for picture in pictures] if wish.sends else []
    return {"images": images, "parameters": echo, "info": json.dumps(_info(meal))}


def interrupted_answer(echo: dict[str, Any]) -> dict[str, Any]:
    """What they answer when they were told to stop."""
    return {"images": [], "parameters": echo, "info": json.dumps({"infotexts": [], "notes": ["Interrupted."]})}


def _info(meal: Meal) -> dict[str, Any]:
    """All that is told of the pictures; `notes` and `warnings` are sentences."""
    request, pictures, (width, height) = meal.request, meal.rendering.pictures, meal.size
    variation, count, digits = request.variation, len(pictures), meal.model.sha256
    subseeds = [variation.seed + at for at in range(count)] if variation else [picture.seed for picture in pictures]
    hires = request.hires or request.start
    return {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * count,
        "negative_prompt": request.negative,
        "all_negative_prompts": [request.negative] * count,
        "seed": request.seed,
        "all_seeds": [picture.seed for picture in pictures],
        "subseed": subseeds[0],
        "all_subseeds": subseeds,
        "subseed_strength": variation.strength if variation else 0,
        "width": width,
        "height": height,
        "sampler_name": request.sampler,
        "scheduler": request.schedule,
        "cfg_scale": request.cfg,
        "steps": request.steps,
        "batch_size": request.batch,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": meal.model.path.stem,
        "sd_model_hash": digits[:10] if digits else None,
        "sd_vae_name": meal.vae,
        "sd_vae_hash": None,
        "seed_resize_from_w": request.resize_from[0] if request.resize_from else -1,
        "seed_resize_from_h": request.resize_from[1] if request.resize_from else -1,
        "denoising_strength": hires.denoise if hires else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": [picture.infotext for picture in pictures],
        "styles": [],
        "job_timestamp": time.strftime("%Y%m%d%H%M%S"),
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": meal.model.variant == "inpaint",
        "version": f"modelhub {__version__}",
        "notes": list(meal.notes),
        "warnings": _once([warning for picture in pictures for warning in picture.warnings]),
    }


def _once(sentences: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(sentences))


def error_answer(error: ModelhubError) -> tuple[int, dict[str, Any]]:
    """The status and body of an error: `detail` is a list for a body that cannot be, else a sentence."""
    sentence = f"{error.message} {error.hint}".strip()
    if isinstance(error, BusyError):
        return 503, {"detail": sentence}
    if isinstance(error, NotFoundError):
        return 404, {"detail": sentence}
    status = _STATUS.get(error.exit_code, 500)
    if status == 422:
        field = [error.field] if isinstance(error, FieldError) else []
        return 422, {"detail": [{"loc": ["body", *field], "msg": sentence, "type": f"value_error.{error.code}"}]}
    return status, {"error": error.code, "detail": sentence, "body": "", "errors": error.message}
