"""Weights for property tests: any that can be written down."""

from __future__ import annotations

from hypothesis import strategies as st

from modelhub.catalog.blocks import all_blocks, block_lists
from modelhub.catalog.weighing.presets import Blend, presets
from modelhub.catalog.weighing.weight import COMPONENTS
from modelhub.catalog.weighing.weights import Weight

NUMBERS = st.floats(-1e30, 1e30) | st.sampled_from([0.0, 0.25, 1.0])
NAMES = st.sampled_from(sorted(presets()))
BLENDS = st.none() | st.builds(Blend, NAMES) | st.builds(Blend, NAMES, NAMES, NUMBERS)
PATTERNS = st.text(max_size=12) | st.sampled_from(
    ["*attn2*", "OUT03-OUT05 te:NOT *a* *b*", "a.b", "GRAD_V", "IN00", "0.5"]
)


@st.composite
def _lists(draw):
    names = draw(st.sampled_from(sorted(block_lists().values())))
    return dict(zip(names, draw(st.lists(NUMBERS, min_size=len(names), max_size=len(names))), strict=True))


BLOCKS = _lists() | st.dictionaries(st.sampled_from(all_blocks()), NUMBERS, max_size=30)
WEIGHTS = st.builds(
    Weight,
    st.none() | NUMBERS,
    st.dictionaries(st.sampled_from(COMPONENTS), NUMBERS, max_size=4),
    BLOCKS,
    st.dictionaries(PATTERNS, NUMBERS, max_size=4).map(lambda table: tuple(table.items())),
    BLENDS,
)
