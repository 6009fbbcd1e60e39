"""What the metadata of a file still say once its container is another: much of them is about the old one."""

from __future__ import annotations

from collections.abc import Mapping

_OF_CONTAINER = ("pickle.root", "pickle.container")
#: Of a GGUF file, all but what its author wrote is about its blocks, or for a program that reads no safetensors.
_GGUF_LIES = ("general.quantization_version", "general.file_type", "general.alignment")


def kept(metadata: Mapping[str, str]) -> dict[str, str]:
    """What still says something once the container is safetensors."""
    is_gguf = "gguf.version" in metadata
    return {
        key: text
        for key, text in metadata.items()
        if key not in _OF_CONTAINER and not (is_gguf and (key in _GGUF_LIES or not key.startswith("general.")))
    }
