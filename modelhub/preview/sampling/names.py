"""Display names of samplers and schedules, in the order of A1111; without what makes them, which takes torch."""

from __future__ import annotations

SAMPLER_NAMES = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC",
    "LCM",
)  # fmt: skip

#: The schedule that stands for "what suits the sampler".
AUTOMATIC = "Automatic"
SCHEDULE_NAMES = (
    AUTOMATIC, "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
    "Simple", "Normal", "DDIM", "Beta",
)  # fmt: skip
