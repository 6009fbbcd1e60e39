"""A file as Civitai lists it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FORMATS = {".safetensors": "SafeTensor", ".gguf": "GGUF", ".ckpt": "PickleTensor", ".pt": "PickleTensor"}
_FORMATS |= {".pth": "PickleTensor", ".bin": "PickleTensor", ".onnx": "ONNX"}


@dataclass
class CivitaiFile:
    """`data` are its bytes (or where they lie); `words` are type, format, size, fp, quantType in Civitai's spelling."""

    name: str
    data: bytes | Path
    id: int
    words: dict[str, str | None]
    primary: bool = False
    said: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any] | bytes, version: int, place: int) -> CivitaiFile:
        """From a test's words: `data`, and whichever of name, type, format, size, fp, quantType, id, primary, and more."""
        told = {"data": given} if isinstance(given, bytes) else dict(given)
        data = told.pop("data")
        name = told.pop("name", f"model{place if place else ''}.safetensors")
        words = {
            "type": told.pop("type", "Model"),
            "format": told.pop("format", _FORMATS.get(Path(name).suffix, "Other")),
        }
        words |= {
            "size": told.pop("size", "full"),
            "fp": told.pop("fp", "fp16"),
            "quantType": told.pop("quantType", None),
        }
        hashes = hashes_of(data, name) | told.pop("hashes", {})
        return cls(name, data, told.pop("id", version * 10 + place), words, told.pop("primary", False), told, hashes)

    @property
    def score(self) -> int:
        """How far the site prefers it as the file to give."""
        likes = {"format": ("SafeTensor", 100), "size": ("pruned", 10), "fp": ("fp16", 1)}
        points = 1000 + sum(worth if self.words[name] == value else -worth for name, (value, worth) in likes.items())
        return points + (1000 if self.words["type"] in ("Model", "Pruned Model") else 0)

    def json(self, site: str, version: int) -> dict[str, Any]:
        """Its entry in `files`."""
        total = self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)
        shown = {name: value for name, value in self.words.items() if name != "type" and value is not None}
        wish = "&".join(f"{name}={value}" for name, value in {"type": self.words["type"], **shown}.items())
        link = f"{site}/api/download/models/{version}?{wish}".replace(" ", "%20")
        if self.primary:
            link = f"{site}/api/download/models/{version}"
        base = {"id": self.id, "name": self.name, "type": self.words["type"], "sizeKB": total / 1024, "metadata": shown}
        scans = {"pickleScanResult": "Success", "virusScanResult": "Success", "scannedAt": "2026-01-02T03:04:05.000Z"}
        primary = {"primary": True} if self.primary else {}
        return {**base, **scans, "hashes": self.hashes, "downloadUrl": link, **primary, **self.said}


def hashes_of(data: bytes | Path, name: str) -> dict[str, str]:
    """The names and spelling of Civitai, from the libraries themselves."""
    from blake3 import blake3

    if isinstance(data, Path):
        data = data.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest().upper()
    short = {"AutoV2": sha256[:10]}
    if len(data) >= 0x110000:
        short["AutoV1"] = hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8].upper()
    if name.endswith(".safetensors"):
        start = 8 + int.from_bytes(data[:8], "little")
        short["AutoV3"] = hashlib.sha256(data[start:]).hexdigest()[:12].upper()
    return {**short, "SHA256": sha256, "CRC32": f"{zlib.crc32(data):08X}", "BLAKE3": blake3(data).hexdigest().upper()}
