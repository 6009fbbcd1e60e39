"""Endings: the format that the name of a file promises; its bytes may say otherwise."""

from __future__ import annotations

_FORMATS = {
    "safetensors": "safetensors", "sft": "safetensors", "gguf": "gguf", "onnx": "onnx",
    **dict.fromkeys(("ckpt", "pt", "pt2", "pth", "bin", "pkl"), "pickle"),
}  # fmt: skip


def format_by_name(name: str) -> str:
    """safetensors, pickle, gguf, onnx or other; also of an ending alone."""
    return _FORMATS.get(name.rpartition(".")[2].lower(), "other")
