"""The version of the identification rules: files identified by other rules are identified again by the next scan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from zlib import adler32, crc32

from modelhub import __version__
from modelhub.catalog.data import data_path

_FOLDERS, _ENDINGS = ("", "architectures", "keymaps"), (".toml", ".tsv.xz")
#: Knowledge of other things.
_OTHERS = {"layouts.toml", "companions.toml", "relations.toml"}


@cache
def rules_version() -> str:
    """Equal as long as the shipped knowledge and the program are."""
    version = __version__.encode()
    digest = [crc32(version), adler32(version)]  # quick to import and to make: each scan needs it
    for content in _contents():
        digest = [crc32(content, digest[0]), adler32(content, digest[1])]
    return "".join(f"{part:08x}" for part in digest)


def _contents() -> Iterator[bytes]:
    """Name and content of every file of rules, in order."""
    for folder in _FOLDERS:
        root = str(data_path(folder))
        for name in sorted(os.listdir(root)):  # noqa: PTH208 (strings all the way: it halves the time)
            if name.endswith(_ENDINGS) and name not in _OTHERS:
                with open(os.path.join(root, name), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
                    yield name.encode() + file.read()
