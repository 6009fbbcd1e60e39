"""The tiny trained model that comes along, and its parts."""

from __future__ import annotations

from pathlib import Path

from modelhub.formats.safetensors import SafetensorsFile
from modelhub.preview.networks.load import load
from modelhub.preview.networks.vae import Vae

DEMO = Path(__file__).parents[2] / "catalog" / "demo" / "tiny-shapes-base.safetensors"


def demo_vae() -> Vae:
    """Its VAE, which makes pictures worth looking at."""
    with SafetensorsFile(DEMO) as source:
        return load(Vae, source, "first_stage_model.")
