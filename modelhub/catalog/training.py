"""What metadata tells of a training: trainer, settings, trigger words, an embedded hash. All of it is untrusted text.

Keys of kohya's sd-scripts and LyCORIS (`ss_`), of ModelSpec, ai-toolkit, OneTrainer (`ot_`) and PEFT.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelhub.text import one_line, shorten

#: Longer JSON is not parsed: it is for display only.
_MAX_JSON = 4_000_000
_MAX_TEXT = 200
_MAX_WORD = 100
_MAX_WORDS = 12
_MAX_TAGS = 10
_DATASET = re.compile(r"\d+_(.+)")
#: Read without parsing, because the whole repeats all tag statistics.
_CLASS_TOKENS = re.compile(r'"class_tokens"\s*:\s*("(?:[^"\\]|\\.){1,300}")')
_NUMBER = re.compile(r"[-+]?\d{1,12}(\.\d{1,12})?")
_HASH = re.compile(r"[0-9a-f]{64}")
#: Folder names and placeholders that say nothing about what was trained.
_DULL = frozenset({"img", "image", "images", "dataset", "data", "train", "training", "reg", "1", "[trigger]", "[name]"})
#: The hash of nothing, which some trainers write instead of a hash.
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#: Fact to the metadata keys that hold it, the best first; `key:field` is a field of the JSON under a key.
_TEXTS = {
    "network_module": ("ss_network_module",),
    "base_model": (
        "ss_sd_model_name", "base_model", "ss_base_model", "ot_config:base_model_name",
        "lora_adapter_metadata:base_model_name_or_path",
    ),
    "base_hash": ("ss_new_sd_model_hash", "ss_sd_model_hash"),
    "vae": ("ss_vae_name",),
    "resolution": ("modelspec.resolution", "ss_resolution", "ot_config:resolution"),
    "optimizer": ("ss_optimizer",),
    "title": ("modelspec.title", "ss_output_name", "name"),
    "author": ("modelspec.author",),
    "license": ("modelspec.license",),
    "usage_hint": ("modelspec.usage_hint",),
    "description": ("modelspec.description",),
    "comment": ("ss_training_comment",),
}  # fmt: skip
_NUMBERS = {
    "dim": ("ss_network_dim", "ot_config:lora_rank", "lora_adapter_metadata:r"),
    "alpha": ("ss_network_alpha", "ot_config:lora_alpha", "lora_adapter_metadata:lora_alpha"),
    "images": ("ss_num_train_images",),
    "epochs": ("ss_epoch", "ss_num_epochs", "training_info:epoch", "ot_config:epochs"),
    "steps": ("ss_steps", "training_info:step", "ss_max_train_steps"),
    "batch": ("ss_total_batch_size", "ss_batch_size_per_device", "ot_config:batch_size"),
    "clip_skip": ("ss_clip_skip",),
    "default_weight": ("modelspec.lora_default_weight", "modelspec.default_weight", "lora_default_weight"),
}
#: Beginnings of keys that only one trainer writes; other `ss_` keys are written by many.
_TRAINERS = {
    "ot_": "OneTrainer",
    "ss_network_module": "sd-scripts",
    "ss_sd_scripts_commit_hash": "sd-scripts",
    "lora_adapter_metadata": "PEFT",
}
_PHRASES = ("modelspec.trigger_phrase", "trigger_phrase", "trigger_words", "trigger_word", "ss_trigger_words")
_HASHES = ("sshs_model_hash", "modelspec.hash_sha256")
_DATES = ("ss_training_finished_at", "ss_training_started_at")
_DOCUMENTS = ("ot_config", "training_info", "software", "lora_adapter_metadata")


@dataclass(frozen=True, slots=True)
class Learned:
    """What metadata tells: facts of the training, words that call it up, and the hash of the tensors as it was."""

    training: dict[str, Any]
    trigger_words: tuple[str, ...]
    embedded_hash: str | None


def learn(metadata: Mapping[str, str]) -> Learned:
    """Everything in this module, with each document in the metadata parsed once."""
    documents = {key: _object(metadata.get(key, "")) for key in _DOCUMENTS if key in metadata}
    statistics = _object(metadata.get("ss_tag_frequency", ""))
    facts = {
        "trainer": _trainer(metadata, documents),
        **{fact: _text(_values(metadata, documents, keys)) for fact, keys in _TEXTS.items()},
        **{fact: _number(_values(metadata, documents, keys)) for fact, keys in _NUMBERS.items()},
        "date": _date(metadata),
        "tags": _tags(statistics),
    }
    known = {fact: value for fact, value in facts.items() if value not in (None, {})}
    return Learned(known, _words(metadata, statistics, documents), embedded_hash(metadata))


def frequent_tags(metadata: Mapping[str, str], most: int) -> dict[str, int]:
    """The most frequent tags of all training sets together, and how often each stands there."""
    return _tags(_object(metadata.get("ss_tag_frequency", "")), most)


def trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Words that call up what was trained: the declared phrase, then concepts and first tags of the training sets."""
    return learn(metadata).trigger_words


def read_json(text: str) -> Any:
    """JSON out of metadata, or None if it is too long, too deep or not JSON."""
    if not text or len(text) > _MAX_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def embedded_hash(metadata: Mapping[str, str]) -> str | None:
    """The SHA256 of the tensors that the metadata carries, in lower-case hex; placeholders do not count."""
    found = (metadata.get(key, "")[:80].strip().lower().removeprefix("0x") for key in _HASHES)
    return next((one for one in found if _HASH.fullmatch(one) and one != _EMPTY), None)


def declared_prediction(metadata: Mapping[str, str]) -> tuple[str, str] | None:
    """(key, prediction) where a trainer's switch declares a v-prediction."""
    yes = metadata.get("ss_v_parameterization", "")[:10].strip().lower() == "true"
    return ("ss_v_parameterization", "v") if yes else None


def _object(text: str) -> dict[str, Any]:
    found = read_json(text)
    return found if isinstance(found, dict) else {}


def _values(metadata: Mapping[str, str], documents: Mapping[str, Any], keys: Iterable[str]) -> Iterator[Any]:
    for key in keys:
        document, _, field = key.partition(":")
        if field and document in documents:
            yield _field(documents[document], field)
        elif not field and key in metadata:
            yield metadata[key]


def _field(document: Mapping[str, Any], field: str) -> Any:
    """A field by its name, or by a name that ends in it, as in `transformer.lora_alpha`."""
    if field in document:
        return document[field]
    return next((value for name, value in document.items() if name.endswith("." + field)), None)


def _text(values: Iterable[Any]) -> str | None:
    """The first value that says something, on one line and shortened; numbers count as text."""
    for value in values:
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if isinstance(text, str) and (clean := _clean(text, _MAX_TEXT)) and clean.lower() not in ("none", "null"):
            return clean
    return None


def _clean(text: str, columns: int) -> str:
    return shorten(one_line(text[: columns * 10].strip()), columns)


def _number(values: Iterable[Any]) -> int | float | None:
    """The first value that is a number, whole where it can be."""
    for value in values:
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()[:30]):
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
            return int(value) if math.isfinite(value) and value == int(value) else value
    return None


def _trainer(metadata: Mapping[str, str], documents: Mapping[str, Mapping[str, Any]]) -> str | None:
    software = documents.get("software") or {"name": metadata.get("software", "")}
    name = _text([software.get("name")])
    if name:
        return _clean(f"{name} {_text([software.get('version')]) or ''}", _MAX_WORD)
    return next((title for start, title in _TRAINERS.items() if any(key.startswith(start) for key in metadata)), None)


def _date(metadata: Mapping[str, str]) -> str | None:
    """The day of the training, as 2024-05-31."""
    seconds = _number(metadata.get(key, "") for key in _DATES)
    if seconds is not None and 0 < seconds < 4e9:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    return _text([metadata.get("modelspec.date")])


def _tags(statistics: Mapping[str, Any], most: int = _MAX_TAGS) -> dict[str, int]:
    """The most frequent tags of all training sets together."""
    sums: Counter[str] = Counter()
    for tags in list(statistics.values())[:100]:
        sums.update(_counts(tags))
    return {_clean(tag, _MAX_WORD): count for tag, count in sums.most_common(most)}


def _counts(tags: Any) -> dict[str, int]:
    """{tag: count} out of what should be that."""
    if not isinstance(tags, dict):
        return {}
    return {
        clean: count
        for tag, count in tags.items()
        if type(count) is int and 0 <= count < 10**12 and (clean := tag.strip()) and clean.lower() not in _DULL
    }


def _words(
    metadata: Mapping[str, str], statistics: Mapping[str, Any], documents: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    found = (
        *(word for key in _PHRASES for word in metadata.get(key, "")[:2000].split(",")),
        *_class_tokens(metadata.get("ss_datasets", "")),
        *_concepts(documents.get("ot_config", {}).get("concepts")),
        *_trained(statistics),
    )
    words = (_clean(word, _MAX_WORD) for word in found if word.strip().lower() not in _DULL)
    return tuple(dict.fromkeys(word for word in words if word))[:_MAX_WORDS]


def _class_tokens(text: str) -> Iterator[str]:
    """The words that each training set was given in the settings."""
    for quoted in _CLASS_TOKENS.findall(text[:_MAX_JSON])[:100]:
        token = read_json(quoted)
        if isinstance(token, str):
            yield token


def _concepts(concepts: Any) -> Iterator[str]:
    for concept in concepts[:100] if isinstance(concepts, list) else ():
        name = concept.get("name") if isinstance(concept, dict) else None
        if isinstance(name, str):
            yield name


def _trained(statistics: Mapping[str, Any]) -> Iterator[str]:
    """From {"10_concept": {"tag": count}}: each concept, and the most frequent tag of each set."""
    for folder, tags in list(statistics.items())[:100]:
        fits = _DATASET.fullmatch(folder.strip())
        yield fits[1].replace("_", " ") if fits else ""
        counts = _counts(tags)
        yield max(counts, key=lambda tag: counts[tag]) if counts else ""
