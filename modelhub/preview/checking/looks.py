"""What is wrong with a picture, in sentences: black, one colour, washed out, undone noise, values that are no numbers.

Measured on the demo models and merges of them, 64 to 256 pixels wide: pictures as they should be against random
latents, samplers that were stopped early, latents of the wrong scale. `_is_noise` and `_washed_out` have the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelhub.preview.checking.figures import Figures, Floats, Pixels, figures, neighbourliness

if TYPE_CHECKING:
    from torch import Tensor

#: Below these spreads (of 255) a picture is one flat colour, or nearly. A shape in the colour of its background, which
#: may be what was asked for, has 2.6 and more.
_FLAT, _PLAIN = 1.0, 2.0
_BLACK = 1.0
#: Below this spread no noise is to be seen: that of random latents at half of their usual scale is 16 and more.
_QUIET = 7.0
_NOISE, _NOISE_ALONE = 0.5, 0.35
_WILD, _TORN = 2.6, 0.25
_FAR = 8.0
#: The darkest and the brightest value between which a grey picture lies, and how far apart they may be.
_GREY, _GREY_SPAN = (60.0, 200.0), 84.0


def looks(pixels: Pixels, latents: Tensor | None = None, image: Tensor | None = None) -> tuple[str, ...]:
    """Sentences about a picture [H, W, 3] that cannot be right, each with what to try next; none for a good one.

    `latents` [C, h, w] are those it was decoded from, `image` [3, H, W] is it before it became bytes; what is not given
    is not looked at.
    """
    if broken := _not_numbers(latents, image):
        return broken
    found, array = figures(pixels), _array(latents)
    return _too_far(array) or _too_plain(found) or _too_noisy(found, array) or _washed_out(found)


def _not_numbers(latents: Tensor | None, image: Tensor | None) -> tuple[str, ...]:
    if latents is not None and not latents.isfinite().all():
        return (
            "The denoiser returned values that are not numbers (NaN): its weights are broken, or fp16 is too narrow; "
            "`modelhub repair` finds broken weights.",
        )
    if image is not None and not image.isfinite().all():
        return ("The VAE returned values that are not numbers (NaN): try another VAE with --vae.",)
    return ()


def _too_plain(found: Figures) -> tuple[str, ...]:
    if found.spread < _FLAT and found.mean < _BLACK:
        return ("The picture is black: try another VAE with --vae, or weights in another precision.",)
    if found.spread < _FLAT:
        return ("The picture is one flat colour: try another VAE with --vae, or a smaller alpha if it is of a merge.",)
    if found.spread < _PLAIN:
        spread = f"standard deviation {found.spread:.1f} of 255"
        return (f"The picture is almost one flat colour ({spread}): try more steps, or another VAE with --vae.",)
    return ()


def _too_far(latents: Floats | None) -> tuple[str, ...]:
    """Latents that spread as no picture's do: 1 is usual, 2.1 was the most at a CFG scale of 9, 6.7 at 20.

    A model that predicts v and is taken for one that predicts noise gave 3000.
    """
    spread = 0.0 if latents is None else float(latents.std())
    if spread < _FAR:
        return ()
    return (
        f"The latents spread {spread:.0f} times as wide as those of pictures: the prediction type (epsilon or v) may "
        "be the wrong one, or the sampler did not get to its end.",
    )


def _too_noisy(found: Figures, latents: Floats | None) -> tuple[str, ...]:
    if not _is_noise(found, latents):
        return ()
    return (
        "The picture looks like noise that was not removed: try more steps, another sampler or a smaller CFG scale; "
        "the prediction type (epsilon or v) may be the wrong one, or the weights do not go together.",
    )


def _is_noise(found: Figures, latents: Floats | None) -> bool:
    """Whether neighbouring cells of a picture have as little in common as noise has.

    The line is a sum of 0.5 of the correlations of neighbours among latents and among means of 8 x 8 pixels. Of random
    latents 0.10 to 0.64 (median 0.36) at 64 pixels, 0.24 to 0.51 (0.30) at 128, up to 0.30 at 256; of 522 good
    pictures, striped and pale ones among them, at least 0.58. Or latents that spread wide and are torn: samplers
    stopped after 2 of 10 steps gave a standard deviation from 4.4 on and a correlation up to 0.22, good pictures up to
    2.1 and mostly 0.5. Without latents the pixels alone decide: good pictures have at least 0.39.
    """
    if found.spread < _QUIET:
        return False
    if latents is None:
        return found.structure < _NOISE_ALONE
    torn = neighbourliness(latents)
    return found.structure + torn < _NOISE or (float(latents.std()) > _WILD and torn < _TORN)


def _washed_out(found: Figures) -> tuple[str, ...]:
    """Whether all values lie close together in the middle.

    Latents that were taken 5.5 times too small lie within 88 and 169, and span 76 at most. Of 292 good pictures, a
    pastel style among them, one lay in the middle, and it spanned 103; what is pale or dark lies at one end.
    """
    low, high = found.low, found.low + found.span
    if low < _GREY[0] or high > _GREY[1] or found.span > _GREY_SPAN:
        return ()
    return (
        f"The picture looks washed out (its values lie between {low:.0f} and {high:.0f} of 255): try another VAE with "
        "--vae; if it is of a merge, what its parents have in common may have been lost.",
    )


def _array(latents: Tensor | None) -> Floats | None:
    return None if latents is None else np.asarray(latents.detach().float().cpu().numpy())
