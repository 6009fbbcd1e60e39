"""The options that a client may set for all requests after it; they are forgotten with the server."""

from __future__ import annotations

from typing import Any

from modelhub.preview.request import EMPHASES, SOURCES
from modelhub.server.api.body import Body, FieldError

#: Options and what a request calls them.
SETTINGS = {
    "CLIP_stop_at_last_layers": "clip_skip",
    "eta_noise_seed_delta": "ensd",
    "randn_source": "rng",
    "emphasis": "emphasis",
}
USUAL: dict[str, Any] = {
    "sd_model_checkpoint": None,
    "sd_vae": "Automatic",
    "CLIP_stop_at_last_layers": 1,
    "eta_noise_seed_delta": 0,
    "randn_source": "NV",
    "emphasis": "Original",
}
_WORDS = {"randn_source": SOURCES, "emphasis": EMPHASES}


def read_settings(body: Body) -> dict[str, Any]:
    """Those options in a body that count here. Raises FieldError for what cannot be."""
    found: dict[str, Any] = {}
    for key, usual in USUAL.items():
        value = body.whole(key) if isinstance(usual, int) else body.text(key)
        if value is not None:
            found[key] = _word(key, str(value)) if key in _WORDS else value
    return found


def _word(key: str, value: str) -> str:
    found = next((word for word in _WORDS[key] if word.lower() == value.lower()), None)
    if found is None:
        raise FieldError(key, f"must be one of: {', '.join(_WORDS[key])}")
    return found
