"""`X.yaml`: the configuration of an ldm checkpoint; three of its lines are looked for, no YAML is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from modelhub.formats.sidecars.convention import Convention, as_text
from modelhub.formats.sidecars.facts import Partial
from modelhub.formats.sidecars.values import prediction

#: Real ones have some 70 lines.
_MAX_CHARACTERS, _MAX_LINES = 200_000, 5_000
_SETTING = re.compile(r"( *)([a-z_]+) *: *[\"']?([\w.]*)[\"']? *(?:#.*)?")
#: The class that turns the network's output into a picture, in the newer form of the configuration.
_SCALINGS = {"EpsScaling": "epsilon", "VScaling": "v", "VScalingWithEDMcNoise": "v"}
_NETWORKS = ("unet_config", "network_config")


def _facts(text: str, _model: Path) -> Partial:
    """A configuration of the old form that does not name a parameterization means epsilon, as the class behind it."""
    settings = list(_settings(text))
    first = {key: value for _, key, value in reversed(settings)}
    targets = [value for _, key, value in settings if key == "target"]
    scaling = next((_SCALINGS[name] for one in targets if (name := one.rpartition(".")[2]) in _SCALINGS), None)
    default = "epsilon" if any(one.startswith("ldm.models.diffusion.ddpm.Latent") for one in targets) else None
    declared = prediction(first["parameterization"]) if "parameterization" in first else scaling or default
    network = dict(_network(settings))
    return {
        "prediction": declared,
        "in_channels": _size(network.get("in_channels", "")),
        "context": _size(network.get("context_dim", "")),
    }


def _settings(text: str) -> Iterator[tuple[int, str, str]]:
    """(indentation, key, value) of each line that sets something."""
    for line in text[:_MAX_CHARACTERS].split("\n")[:_MAX_LINES]:
        if len(line) <= 500 and (fits := _SETTING.fullmatch(line.rstrip())):
            yield len(fits[1]), fits[2], fits[3]


def _network(settings: list[tuple[int, str, str]]) -> Iterator[tuple[str, str]]:
    """The settings of the denoiser: the autoencoder has some of the same names."""
    outer: int | None = None
    for indent, key, value in settings:
        if outer is not None and indent <= outer:
            return
        if outer is not None:
            yield key, value
        elif key in _NETWORKS:
            outer = indent


def _size(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and 0 < len(digits) < 7 else None


LDM_CONFIG = Convention("ldm-config", ".yaml", _facts, parse=as_text)
