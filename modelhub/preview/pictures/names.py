"""Names of samplers and schedules as others write them, in A1111's words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelhub.preview.sampling.names import AUTOMATIC, SCHEDULE_NAMES
from modelhub.text import alike

#: Schedules as they may end the name of a sampler ("DPM++ 2M Karras", as it was in A1111 before version 1.9).
_SUFFIXES = tuple(name for name in SCHEDULE_NAMES if name not in (AUTOMATIC, "DDIM"))
_BEFORE = ("Euler", "Heun", "LMS", "DPM", "UniPC", "LCM", "Restart", "DDIM", "PLMS")

#: ComfyUI's samplers (comfy/samplers.py), which SwarmUI and Fooocus name alike.
COMFY_SAMPLERS: Mapping[str, str] = MappingProxyType({
    "euler": "Euler", "euler_ancestral": "Euler a", "heun": "Heun", "lms": "LMS", "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a", "dpm_fast": "DPM fast", "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE", "dpmpp_sde_gpu": "DPM++ SDE", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_2m_sde_gpu": "DPM++ 2M SDE", "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_2m_sde_heun_gpu": "DPM++ 2M SDE Heun", "dpmpp_3m_sde": "DPM++ 3M SDE", "dpmpp_3m_sde_gpu": "DPM++ 3M SDE",
    "ddim": "DDIM", "uni_pc": "UniPC", "uni_pc_bh2": "UniPC", "lcm": "LCM", "restart": "Restart",
})  # fmt: skip
COMFY_SCHEDULES: Mapping[str, str] = MappingProxyType({
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "sgm_uniform": "SGM Uniform",
    "simple": "Simple", "ddim_uniform": "DDIM", "beta": "Beta", "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps", "polyexponential": "Polyexponential",
})  # fmt: skip

#: InvokeAI's (and diffusers') schedulers: a sampler with its schedule.
INVOKE: Mapping[str, tuple[str, str]] = MappingProxyType({
    "ddim": ("DDIM", "Automatic"), "lcm": ("LCM", "Automatic"), "pndm": ("PLMS", "Automatic"),
    "unipc": ("UniPC", "Automatic"), "unipc_k": ("UniPC", "Automatic"),
    "euler": ("Euler", "Uniform"), "euler_k": ("Euler", "Karras"), "euler_a": ("Euler a", "Uniform"),
    "heun": ("Heun", "Uniform"), "heun_k": ("Heun", "Karras"), "lms": ("LMS", "Uniform"), "lms_k": ("LMS", "Karras"),
    "kdpm_2": ("DPM2", "Uniform"), "kdpm_2_k": ("DPM2", "Karras"), "kdpm_2_a": ("DPM2 a", "Uniform"),
    "kdpm_2_a_k": ("DPM2 a", "Karras"), "dpmpp_2s": ("DPM++ 2S a", "Uniform"), "dpmpp_2s_k": ("DPM++ 2S a", "Karras"),
    "dpmpp_2m": ("DPM++ 2M", "Uniform"), "dpmpp_2m_k": ("DPM++ 2M", "Karras"),
    "dpmpp_2m_sde": ("DPM++ 2M SDE", "Uniform"), "dpmpp_2m_sde_k": ("DPM++ 2M SDE", "Karras"),
    "dpmpp_3m": ("DPM++ 3M SDE", "Uniform"), "dpmpp_3m_k": ("DPM++ 3M SDE", "Karras"),
    "dpmpp_sde": ("DPM++ SDE", "Uniform"), "dpmpp_sde_k": ("DPM++ SDE", "Karras"),
    # version 2 and before; whether Karras was used hung on the number of steps
    "k_euler": ("Euler", "Automatic"), "k_euler_a": ("Euler a", "Automatic"), "k_heun": ("Heun", "Automatic"),
    "k_lms": ("LMS", "Automatic"), "k_dpm_2": ("DPM2", "Automatic"), "k_dpm_2_a": ("DPM2 a", "Automatic"),
    "k_dpmpp_2": ("DPM++ 2M", "Automatic"), "k_dpmpp_2_a": ("DPM++ 2S a", "Automatic"), "plms": ("PLMS", "Automatic"),
})  # fmt: skip

#: NovelAI's samplers.
NOVELAI: Mapping[str, str] = MappingProxyType({
    "k_euler": "Euler", "k_euler_ancestral": "Euler a", "k_lms": "LMS", "k_heun": "Heun", "k_dpm_2": "DPM2",
    "k_dpm_2_ancestral": "DPM2 a", "k_dpm_fast": "DPM fast", "k_dpm_adaptive": "DPM adaptive",
    "k_dpmpp_2s_ancestral": "DPM++ 2S a", "k_dpmpp_2m": "DPM++ 2M", "k_dpmpp_sde": "DPM++ SDE",
    "k_dpmpp_2m_sde": "DPM++ 2M SDE", "ddim": "DDIM", "ddim_v3": "DDIM", "plms": "PLMS",
})  # fmt: skip

_SAME: Mapping[str, str] = MappingProxyType({
    "euler ancestral": "Euler a", "dpm2 ancestral": "DPM2 a", "dpm++ 2s ancestral": "DPM++ 2S a", "k_euler": "Euler",
    "k_euler_a": "Euler a", "k_lms": "LMS", "k_heun": "Heun", "k_dpm_2": "DPM2", "k_dpm_2_a": "DPM2 a",
    "uni_pc": "UniPC", "uni-pc": "UniPC",
})  # fmt: skip


def split_sampler(name: str, schedule: str | None = None) -> tuple[str, str | None]:
    """Sampler and schedule of a name that may hold both: `DPM++ 2M Karras`, `euler_ancestral_karras`, `Euler a`.

    A `schedule` that is said apart counts more than one in the name. Unknown names stay as they are.
    """
    name = " ".join(name.split())
    if (known := _known(name)) is not None:
        return known, schedule_name(schedule)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if alike(name).endswith(alike(suffix)) and len(alike(name)) > len(alike(suffix)):
            before = _without(name, alike(suffix))
            if before.startswith(_BEFORE) or _known(before) is not None:
                said = schedule_name(schedule)
                return _known(before) or before, suffix if said in (None, "Automatic") else said
    return name, schedule_name(schedule)


def schedule_name(name: str | None) -> str | None:
    """A schedule in A1111's words, whoever wrote it (`sgm_uniform`, `SGM Uniform`); unknown ones as they are."""
    if name is None or not name.strip():
        return None
    plain = alike(name)
    by_plain = {alike(one): one for one in SCHEDULE_NAMES}
    by_plain |= {alike(one): ours for one, ours in COMFY_SCHEDULES.items()}
    return by_plain.get(plain, name.strip())


def _known(name: str) -> str | None:
    key = name.lower()
    return COMFY_SAMPLERS.get(key) or _SAME.get(key)


def _without(name: str, suffix: str) -> str:
    """`name` without as many characters at its end as make up `suffix`, and without what joined the two."""
    end, left = len(name), len(suffix)
    while left > 0:
        end -= 1
        left -= len(alike(name[end]))
    return name[:end].rstrip(" _-")
