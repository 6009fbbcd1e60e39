"""What the demo takes as a picture, and which of its rows a stripe never covers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelhub.demo.shapes import SIZE
from modelhub.errors import UsageError

#: A picture: RGB, [64, 64, 3].
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Stripes are 8 rows high, from the second on; these rows [64] keep the background's colour.
PLAIN_ROWS: NDArray[np.bool_] = np.arange(SIZE) // 8 % 2 == 0


def checked(pixels: Pixels) -> Floats:
    """`pixels` as float32 [64, 64, 3], 0 to 255. Raises UsageError for anything but uint8 [64, 64, 3]."""
    if pixels.shape != (SIZE, SIZE, 3) or pixels.dtype != np.uint8:
        shape = " x ".join(str(size) for size in pixels.shape)
        raise UsageError(
            f"The demo measures pictures of 64 x 64 x 3 uint8, not {shape} {pixels.dtype}.", "Render at 64x64."
        )
    return pixels.astype(np.float32)


def border(width: int) -> NDArray[np.bool_]:
    """The pixels [64, 64] that are less than `width` from an edge."""
    ring = np.ones((SIZE, SIZE), bool)
    ring[width:-width, width:-width] = False
    return ring
