"""From a picture's settings to the request that makes it again, with notes about what that cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from modelhub.errors import NotFoundError, UsageError
from modelhub.preview.pictures.generation import Generation, number, read_size, whole
from modelhub.preview.pictures.names import split_sampler
from modelhub.preview.request import EMPHASES, SIZES, SOURCES, Hires, Request, Variation
from modelhub.preview.sampling.tuning import Tuning
from modelhub.text import brief, few

_MOST_STEPS, _MOST_SEED, _MOST_SKIP, _MOST_CFG = 150, 2**63 - 65, 12, 100.0
#: Keys that say who made a picture and with what, and so are no part of a request.
_TELLING = re.compile(
    r"Model( hash)?|VAE( hash)?|Refiner|Hires (checkpoint|VAE|Module.*)|Module \d+|(Lora |TI )?[Hh]ashes|Lora weights"
    r"|Used embeddings|Version|User|App|Backend|Pipeline|Parser|Operations|Comment|Merge recipe"
    r"|Civitai (resources|metadata)|Created Date|Batch (size|pos)|AddNet .*|(Negative )?Template|Styles|Performance"
    r"|Init image hash"
)
#: Settings that change pictures, and what previews do in their place.
_UNDONE: Mapping[str, str] = {
    "Face restoration": "The faces were restored; a preview leaves them as they are.",
    "Tiling": "The picture was made to be tiled; a preview is not.",
    "NGMS": "The negative prompt was left out at low noise (NGMS); a preview uses it to the end.",
    "Skip Early CFG": "The negative prompt was left out at the beginning; a preview uses it from the first step.",
    "Noise Schedule": "The levels of noise were changed ({}); a preview takes those that the model was trained with.",
    "Downcast alphas_cumprod": "The levels of noise were rounded to half precision; a preview takes them as they are.",
    "SMEA": "It was sampled in several sizes (SMEA); a preview is not.",
    "CFG rescale": "The guidance was rescaled ({}); a preview does not.",
    "Token merging ratio": "Tokens were merged to save time; a preview merges none.",
    "Pad conds": "The shorter prompt was padded; a preview encodes each in its own length.",
}
#: A1111 before 1.9, and Civitai's generator, name the schedule behind the sampler unless it is this one.
_UNSAID = "Uniform"
_EXTRAS = (
    ("ADetailer", "ADetailer drew parts of it again"),
    ("ControlNet", "a ControlNet guided it"),
    ("Postprocess", "it was changed when it was finished"),
)

_Kind = TypeVar("_Kind", Request, Hires, Tuning)


@dataclass(slots=True)
class _Said:
    """The settings of a picture, which of them were asked for, and what could not be understood."""

    settings: Mapping[str, str]
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def text(self, *keys: str) -> str | None:
        """The value of the first of `keys` that is there."""
        self.used.update(keys)
        return next((self.settings[key] for key in keys if key in self.settings), None)

    def number(self, *keys: str) -> float | None:
        """The same as a finite number; a note where it is none."""
        text = self.text(*keys)
        found = None if text is None else number(text)
        if text is not None and found is None:
            self.notes.append(f"{keys[0]} is {brief(text, 40)}, which is no number; it is left out.")
        return found

    def within(self, low: float, high: float, default: float, *keys: str) -> float:
        """The same, brought between two ends; `default` for none."""
        found = self.number(*keys)
        if found is None:
            return default
        if not low <= found <= high:
            nearest = min(max(found, low), high)
            self.notes.append(f"{keys[0]} is {found:g}; a preview takes {nearest:g}.")
            return nearest
        return found

    def size(self, key: str) -> tuple[int, int] | None:
        """Width and height, as near as a preview can come."""
        text = self.text(key)
        found = read_size(text)
        if found is None:
            if text is not None:
                self.notes.append(f"{key} is {brief(text, 40)}, which is no size; it is left out.")
            return None
        near = tuple(min(max(round(side / 8) * 8, SIZES[0]), SIZES[-1]) for side in found)
        if near != found:
            self.notes.append(f"{key} is {found[0]}x{found[1]}; a preview takes {near[0]}x{near[1]}.")
        return near[0], near[1]

    def is_true(self, key: str) -> bool | None:
        """A yes or no; a key alone is a yes."""
        text = self.text(key)
        return None if text is None else text.strip().lower() in ("true", "yes", "1", key.lower())


def request_of(generation: Generation) -> tuple[Request, tuple[str, ...]]:
    """The request that makes a picture again, as far as its settings tell, and sentences about what it leaves out.

    Where nothing is said of the noise it is that of A1111 on NVIDIA. LoRAs stay in the prompt as it has them, and
    those that only a list of models names out of it. Raises UsageError for prompts that are too long.
    """
    said = _Said(generation.settings)
    sampler, schedule = _sampler(said, unsaid=_UNSAID if generation.infotext else None)
    size = said.size("Size") or (None, None)
    first = Request(
        prompt=generation.prompt,
        negative=generation.negative,
        sampler=sampler,
        schedule=schedule,
        steps=round(said.within(1, _MOST_STEPS, 20, "Steps")),
        cfg=said.within(0, _MOST_CFG, 7.0, "CFG scale", "Cfg scale", "CFG Scale"),
        seed=_seed(said),
        width=size[0],
        height=size[1],
        clip_skip=round(said.within(1, _MOST_SKIP, 1, "Clip skip")),
        emphasis=_choice(said, "Emphasis", EMPHASES, "Original"),
        rng=_choice(said, "RNG", SOURCES, "NV"),
        variation=_variation(said),
        tuning=_tuning(said, generation, sampler),
        switch_at=said.within(0, 1, 0.8, "Refiner switch at"),
    )
    rest = {
        "guidance": said.number("Distilled CFG Scale"),
        "ensd": whole(said.text("ENSD")) or 0,
        "resize_from": said.size("Seed resize from"),
        "hires": _hires(said),
    }
    request = _with(first, rest, said)
    return request, (*said.notes, *_left_out(said, generation, request))


def _with(first: _Kind, values: Mapping[str, Any], said: _Said) -> _Kind:
    """`first` with each of `values` that it can have; a note for one that it cannot."""
    found = first
    for name, value in values.items():
        try:
            found = replace(found, **{name: value})
        except UsageError as error:
            said.notes.append(f"{error.message} It is left out.")
    return found


def _sampler(said: _Said, unsaid: str | None) -> tuple[str, str]:
    """Sampler and schedule that there are, and a note for those that there are not; `unsaid` is what saying none means.

    "Automatic" stays for Restart, which was there with Karras's schedule alone.
    """
    from modelhub.preview.sampling.samplers import find_sampler
    from modelhub.preview.sampling.schedules import AUTOMATIC, resolve

    name, schedule = split_sampler(said.text("Sampler") or "DPM++ 2M", said.text("Schedule type"))
    try:
        sampler = find_sampler(name)
    except NotFoundError:
        sampler = find_sampler("Euler")
        said.notes.append(f"There is no sampler {brief(name, 40)} here; Euler takes its place.")
    if schedule is None and sampler.name != "Restart":
        schedule = unsaid
    try:
        resolve(schedule or AUTOMATIC, sampler)
    except NotFoundError:
        said.notes.append(
            f"There is no schedule {brief(schedule or '', 40)} here; that of the sampler takes its place."
        )
        schedule = None
    return sampler.name, schedule or AUTOMATIC


def _seed(said: _Said) -> int:
    text = said.text("Seed")
    seed = whole(text)
    if seed is None or not 0 <= seed <= _MOST_SEED:
        if text is not None:
            said.notes.append(f"The seed is {brief(text, 40)}, which a preview cannot take; it takes 1.")
        else:
            said.notes.append("The picture does not tell its seed; a preview takes 1.")
        return 1
    return seed


def _choice(said: _Said, key: str, names: tuple[str, ...], default: str) -> str:
    text = said.text(key)
    found = next((name for name in names if text is not None and name.lower() == text.strip().lower()), None)
    if text is not None and found is None:
        said.notes.append(f"{key} is {brief(text, 40)}; a preview takes {default}.")
    return found or default


def _variation(said: _Said) -> Variation | None:
    seed, strength = whole(said.text("Variation seed")), said.number("Variation seed strength")
    if seed is None or not strength:
        return None
    return Variation(min(max(seed, 0), _MOST_SEED), min(max(strength, 0.0), 1.0))


def _tuning(said: _Said, generation: Generation, sampler: str) -> Tuning:
    from modelhub.preview.sampling.samplers import find_sampler

    rounded, noise = said.is_true("Rounded timesteps"), said.is_true("SGM noise multiplier")
    values = {
        "eta": said.number(eta_key(find_sampler(sampler).timesteps)),
        "churn": said.number("Sigma churn"),
        "churn_max": said.number("Sigma tmax"),
        "churn_min": said.number("Sigma tmin"),
        "noise": said.number("Sigma noise"),
        "rho": said.number("Schedule rho"),
        "sigma_min": said.number("Schedule min sigma"),
        "sigma_max": said.number("Schedule max sigma"),
        "beta_alpha": said.number("Beta schedule alpha", "Beta scheduler alpha"),
        "beta_beta": said.number("Beta schedule beta", "Beta scheduler beta"),
        "discard": said.is_true("Discard penultimate sigma"),
        "rounded": _rounds(generation) if rounded is None else rounded,
        "sgm_noise": generation.software.startswith("ComfyUI") if noise is None else noise,
        "order": whole(said.text("UniPC order")),
        "variant": said.text("UniPC variant"),
        "skip": said.text("UniPC skip type"),
        "lower_order_final": said.is_true("UniPC lower order final"),
    }
    return _with(Tuning(), {name: value for name, value in values.items() if value is not None}, said)


def _rounds(generation: Generation) -> bool:
    """Whether who wrote it shows the network whole timesteps: Forge and ComfyUI do, A1111 does not."""
    return generation.software.startswith(("Forge", "ComfyUI", "SwarmUI", "Fooocus"))


def eta_key(timesteps: bool) -> str:
    """The name of eta, of which samplers with timesteps of their own have another."""
    return "Eta DDIM" if timesteps else "Eta"


def _hires(said: _Said) -> Hires | None:
    upscaler, scale = said.text("Hires upscaler"), said.number("Hires upscale")
    resize = said.text("Hires resize")
    said.used.update(("Hires steps", "Hires CFG Scale"))
    names = [said.text(f"Hires {name}") for name in ("sampler", "schedule type", "prompt", "negative prompt")]
    if upscaler is None and scale is None and resize is None:
        return None
    sampler, schedule = _hires_sampler(names[0], names[1])
    width, height = read_size(resize) or (0, 0)
    first = read_size(said.settings.get("Size"))
    if scale is None and first and (width or height) and not (width and height):
        scale = width / first[0] if width else height / first[1]
    usual = Hires(denoise=said.within(0, 1, Hires().denoise, "Denoising strength"))
    if width and height:
        usual = _pair(usual, width, height, said)
    values = {
        "scale": scale,
        "upscaler": upscaler,
        "steps": whole(said.settings.get("Hires steps")),
        "sampler": sampler,
        "schedule": schedule,
        "cfg": said.number("Hires CFG Scale"),
        "prompt": names[2],
        "negative": names[3],
    }
    return _with(usual, {name: value for name, value in values.items() if value is not None}, said)


def _pair(usual: Hires, width: int, height: int, said: _Said) -> Hires:
    """The size of the second pass; both sides go together."""
    try:
        return replace(usual, width=width, height=height)
    except UsageError as error:
        said.notes.append(f"{error.message} It is left out.")
        return usual


def _hires_sampler(sampler: str | None, schedule: str | None) -> tuple[str | None, str | None]:
    """The names of the second pass; "Use same sampler" and the like are as in the first."""
    same = [None if name is None or name.lower().startswith("use same") else name for name in (sampler, schedule)]
    if same[0] is None:
        return None, split_sampler("Euler", same[1])[1]
    return split_sampler(same[0], same[1])


def _left_out(said: _Said, generation: Generation, request: Request) -> Iterator[str]:
    """What the settings say and a preview does not do."""
    yield from generation.notes
    strength = said.text("Denoising strength")
    if strength is not None and request.hires is None:
        yield f"The picture was made from another one, which it does not hold (denoising {brief(strength, 20)})."
    said.used.update(("Mask blur", "Masked content", "Inpaint area", "Image CFG scale", "Conditional mask weight"))
    for key, sentence in _UNDONE.items():
        value = said.text(key)
        if value is not None and value.lower() not in ("false", "default", "none", "0"):
            yield sentence.format(brief(value, 30))
    for start, sentence in _EXTRAS:
        keys = {key for key in said.settings if key.startswith(start)}
        said.used |= keys
        if keys:
            yield f"{sentence[:1].upper()}{sentence[1:]}; a preview does without."
    rest = [key for key in said.settings if key not in said.used and not _TELLING.fullmatch(key)]
    if rest:
        yield f"Settings that previews do not know are left out: {few(rest, 30)}."
    if generation.software.startswith(("ComfyUI", "SwarmUI")) and re.search(r"[(\[]", generation.prompt):
        yield "ComfyUI weighs words in another way than A1111, by which previews go."
