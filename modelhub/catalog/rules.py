"""The version of the identification rules: files identified by other rules are identified again by the next scan."""

from __future__ import annotations

from functools import cache
from zlib import adler32, crc32

from modelhub import __version__
from modelhub.catalog.data import data_path

_RULES = ("*.toml", "architectures/*.toml", "keymaps/*")
#: Knowledge of other things.
_OTHERS = {"layouts.toml"}


@cache
def rules_version() -> str:
    """Equal as long as the shipped knowledge and the program are."""
    version = __version__.encode()
    digest = [crc32(version), adler32(version)]  # quick to import and to make: each scan needs it
    for path in sorted(path for pattern in _RULES for path in data_path().glob(pattern) if path.name not in _OTHERS):
        content = path.name.encode() + path.read_bytes()
        digest = [crc32(content, digest[0]), adler32(content, digest[1])]
    return "".join(f"{part:08x}" for part in digest)
