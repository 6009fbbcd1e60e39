"""The fields of the query language in words: for each an example and what it finds, for helps and for completion."""

from __future__ import annotations

from typing import NamedTuple


class FieldWords(NamedTuple):
    """An example of a condition, and what it finds."""

    example: str
    finds: str


#: Every name of `fields.FIELDS`, those that are used most first.
FIELD_WORDS: dict[str, FieldWords] = {
    "kind": FieldWords("kind:lora", "the kind: checkpoint, lora, vae, embedding, controlnet, upscaler and others"),
    "type": FieldWords("type:lora", "the same as kind"),
    "arch": FieldWords(
        "arch:sdxl", "the architecture: sd1, sd2, sdxl, flux1 and others; arch:none where it is unknown"
    ),
    "architecture": FieldWords("architecture:sdxl", "the same as arch"),
    "tag": FieldWords("tag:anime", "a tag; tag:none for untagged ones"),
    "rating": FieldWords("rating:>=4", "your stars"),
    "size": FieldWords("size:>2GB", "the size of the file"),
    "dtype": FieldWords("dtype:fp16", "the precision that most weights have"),
    "format": FieldWords("format:pickle", "the container: safetensors, pickle, diffusers, gguf"),
    "name": FieldWords("name:photo", "part of the file name"),
    "path": FieldWords("path:styles/", "part of the path"),
    "trigger": FieldWords("trigger:ohwx", "part of the trigger words"),
    "notes": FieldWords("notes:todo", "part of your note"),
    "base": FieldWords('base:"SDXL 1.0"', "the base model that a sidecar or a provider tells"),
    "lineage": FieldWords("lineage:pony", "the family within an architecture: pony, illustrious and others"),
    "creator": FieldWords("creator:somebody", "who made it, as a sidecar or a provider tells"),
    "variant": FieldWords("variant:inpaint", "the variant of the architecture"),
    "prediction": FieldWords("prediction:v", "what the network predicts"),
    "layout": FieldWords("layout:kohya", "the key naming: ldm, diffusers, kohya, peft"),
    "algorithm": FieldWords("algorithm:locon", "the algorithm of a LoRA"),
    "quantisation": FieldWords("quantisation:q4", "how weights are packed"),
    "params": FieldWords("params:>1B", "the number of parameters"),
    "added": FieldWords("added:7d", "catalogued within an age (7d, 2w, 3m, 1y), or since a day: added:>=2026-01-31"),
    "modified": FieldWords("modified:2w", "the same for the file's own time"),
    "merged": FieldWords("merged:yes", "merges that carry a recipe or their parents"),
    "from": FieldWords("from:photo-v5", "merges that this model went into, near or far"),
    "hash": FieldWords("hash:6ce01611", "the beginning of any hash"),
    "id": FieldWords("id:>100", "the number in the catalog"),
    "fingerprint": FieldWords("fingerprint:none", "the fingerprint of the layout; the same for equal names and shapes"),
    "confidence": FieldWords("confidence:structure", "what told it: header, structure, metadata, name or none"),
    "provider": FieldWords("provider:civitai", "known to a provider; provider:none for no one"),
    "lookup": FieldWords("lookup:unknown", "asked for at a provider: known, unknown, none (nobody was asked) or never"),
    "missing": FieldWords("missing:yes", "files that are gone"),
    "problem": FieldWords("problem:yes", "files that could not be read"),
    "override": FieldWords("override:yes", "files whose kind or architecture you set"),
    "verified": FieldWords("verified:no", "read again and compared with their hashes"),
    "hashed": FieldWords("hashed:no", "files whose SHA256 is known"),
    "sidecar": FieldWords("sidecar:yes", "files with a sidecar that says something"),
    "linked": FieldWords("linked:yes", "files that have links to them"),
}

#: How conditions are joined.
JOINING = (
    FieldWords("anime portrait", "both words, anywhere: path, title, tags, notes, trigger words"),
    FieldWords("kind:lora arch:sdxl", "both hold"),
    FieldWords("rating:>=4 OR tag:keep", "one of them holds"),
    FieldWords("-tag:nsfw", "it does not hold"),
    FieldWords('"two words" (arch:sd1 OR arch:sd2)', "a phrase, and one of two architectures"),
    FieldWords("name:photo*v5", "* stands for anything"),
)
