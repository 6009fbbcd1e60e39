"""What a network predicts, noise or velocity, when its file does not say."""

from __future__ import annotations

from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError
from modelhub.formats.source import TensorSource
from modelhub.preview.guidance import PREDICTIONS, Prediction

#: In SD2 this small tensor spreads wider after the long v-prediction training: the rule of ComfyUI's model detection.
_PROBE, _SPREAD = "output_blocks.11.1.transformer_blocks.0.norm1.bias", 0.09


def prediction_of(source: TensorSource, identity: Identity, prefix: str, usual: str) -> Prediction:
    """The formula for the denoiser below `prefix`: as identified, else probed (SD2), else the `usual` one.

    SD2-base and 768-v have the same names and shapes, so for them one tensor of 320 numbers is read. Raises
    IncompatibleError for a prediction type that modelhub does not render.
    """
    name = identity.prediction or usual
    if identity.prediction is None and identity.architecture == "sd2" and prefix + _PROBE in source.header.tensors:
        spread = source.tensor(prefix + _PROBE).float().std(correction=0).item()
        name = "v" if spread > _SPREAD else "epsilon"
    if name not in PREDICTIONS:
        raise IncompatibleError(
            f"A denoiser that predicts {name} cannot be rendered yet.", f"Previews work for: {', '.join(PREDICTIONS)}."
        )
    return PREDICTIONS[name]
