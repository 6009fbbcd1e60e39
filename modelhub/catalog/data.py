"""Where the shipped knowledge lies: indoors in an installed wheel, beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

_INDOORS = Path(__file__).parent / "data"
_ROOT = _INDOORS if _INDOORS.is_dir() else Path(__file__).parents[2] / "catalog"


def data_path(*parts: str) -> Path:
    """The path of a file or folder of the shipped catalog data."""
    return _ROOT.joinpath(*parts)
