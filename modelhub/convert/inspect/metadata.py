"""Findings about metadata: what is not what its key says, what contradicts the tensors, what other programs need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelhub.catalog.identity import Identity
from modelhub.catalog.training import embedded_hash, read_json
from modelhub.convert.inspect.report import Finding
from modelhub.text import brief, few

#: Keys whose values are JSON by whoever writes them: trainers, mergers, ComfyUI, PEFT.
_JSON_KEYS = (
    "ss_network_args", "ss_datasets", "ss_tag_frequency", "ss_bucket_info", "ss_dataset_dirs", "ss_reg_dataset_dirs",
    "sd_merge_recipe", "sd_merge_models", "prompt", "workflow", "_quantization_metadata", "lora_adapter_metadata",
)  # fmt: skip
#: What stands for nothing.
_NOTHING = ("", "None", "null", "{}", "[]")
#: What `format` may say for programs that check it.
_FORMATS = ("pt", "tf", "flax", "mlx")
#: Kinds that transformers and diffusers load, which look at it.
_CHECKED = ("checkpoint", "diffusion-model", "vae", "text-encoder", "clip-vision", "controlnet")


def metadata_findings(metadata: Mapping[str, str], identity: Identity) -> Iterator[Finding]:
    """What is odd about metadata, in any format."""
    for conflict in identity.conflicts:
        yield Finding(
            "problem", "contradiction", brief(conflict, 300),
            "The tensors decide; such metadata was often copied from another file.",
        )  # fmt: skip
    broken = [key for key in _JSON_KEYS if key in metadata and not _is_json(metadata[key])]
    if broken:
        yield Finding(
            "problem", "metadata-values", f"The metadata has values that should be JSON, and are not: {few(broken)}.",
            "The weights are not touched by it; programs that read these keys may fail.", tuple(broken),
        )  # fmt: skip
    strange = [key for key in metadata if not key.isprintable()]
    if strange:
        yield Finding(
            "suspicious", "strange-keys", f"The metadata has keys with control characters: {few(strange)}.",
            "They can disturb a terminal or a log; modelhub shows them as escapes.", tuple(strange),
        )  # fmt: skip


def _is_json(text: str) -> bool:
    return text.strip() in _NOTHING or isinstance(read_json(text), dict | list)


def safetensors_metadata_findings(metadata: Mapping[str, str], identity: Identity) -> Iterator[Finding]:
    """What only the metadata of a safetensors file should, or can, say."""
    if identity.kind in _CHECKED and metadata.get("format") not in _FORMATS:
        there = f"says the format {brief(metadata['format'], 20)!r}" if "format" in metadata else "has no `format`"
        yield Finding(
            "note", "no-format", f"The metadata {there}; programs built on transformers 4 refuse all but \"pt\" there.",
            "Others do not ask for it.",
        )  # fmt: skip
    if embedded_hash(metadata):
        yield Finding(
            "note", "declared-hash", "The metadata declares the SHA256 of the tensors.",
            "`modelhub verify` compares it, once the file is in the catalog.",
        )  # fmt: skip
