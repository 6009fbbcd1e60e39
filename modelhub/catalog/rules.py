"""The version of the identification rules: files identified by other rules are identified again by the next scan."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b

from modelhub import __version__
from modelhub.catalog.data import data_path

_RULES = ("*.toml", "architectures/*.toml", "keymaps/*")


@cache
def rules_version() -> str:
    """Equal as long as the shipped knowledge and the program are."""
    digest = blake2b(__version__.encode(), digest_size=8)
    for path in sorted(path for pattern in _RULES for path in data_path().glob(pattern)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
