"""Files for looking up: bytes that follow from a name, so that a test and a server have the same ones."""

from __future__ import annotations

import hashlib

from modelhub.catalog.identity import Identity

LORA = Identity(kind="lora", architecture="sdxl")


def data_of(name: str) -> bytes:
    """Some bytes that no other name has."""
    return hashlib.sha256(name.encode()).digest() * 8


def sha256_of(name: str) -> str:
    """Their SHA256."""
    return hashlib.sha256(data_of(name)).hexdigest()
