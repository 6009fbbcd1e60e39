"""Listing: the weights among the files of a repository, shards joined to sets, and the best copy of each model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.fetch.choosing.matching import index_names
from modelhub.fetch.choosing.ranking import precision_rank
from modelhub.fetch.huggingface.repo import RepoFile
from modelhub.fetch.names.endings import format_by_name
from modelhub.formats.naming import WEIGHT_NAMES, ShardName, is_model_name, shard_name

#: How libraries call weights of whatever model.
GENERIC = (
    *WEIGHT_NAMES, "pytorch_lora_weights", "adapter_model", "open_clip_pytorch_model", "learned_embeds",
    "open_clip_model",
)  # fmt: skip
#: Names that begin so are states of a training, weights for other machines, or no weights at all.
_OTHERS = re.compile(
    r"(?:training_args|optimizer|scheduler|scaler|random_states|rng_state|flax_|tf_|openvino|rust_|onnx)", re.IGNORECASE
)
_PRECISION = re.compile(r"(?:^|[._\-])(fp32|fp16|bf16|fp8|fp4|nf4|mxfp8|int8|int4|i?q\d\w*)(?=[._\-]|$)", re.IGNORECASE)
_PRUNED = re.compile(r"(?:^|[._\-])(pruned|ema-?only)(?=[._\-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Weights:
    """One model among the files: a single file, or all shards of a set with their index."""

    files: tuple[RepoFile, ...]
    index: RepoFile | None = None

    @property
    def first(self) -> RepoFile:
        """The file, or the first shard."""
        return self.files[0]

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
        return self.first.folder

    @property
    def stem(self) -> str:
        """The name without ending, and without the numbers of shards."""
        shard = shard_name(self.first.name)
        return shard.stem if shard else self.first.name.rpartition(".")[0]

    @property
    def ending(self) -> str:
        """The ending in lower case, without its dot."""
        return self.first.name.rpartition(".")[2].lower()

    @property
    def is_pickle(self) -> bool:
        """Whether programs load it by unpickling."""
        return format_by_name(self.first.name) == "pickle"

    @property
    def variant(self) -> str:
        """What stands behind a standard name: fp16, non_ema; "" for nothing."""
        shard = shard_name(self.first.name)
        inner = shard.ending.rpartition(".")[0] if shard else ""
        return (self.stem.partition(".")[2] + inner).strip(".")

    @property
    def base(self) -> str:
        """The name up to its first dot."""
        return self.stem.partition(".")[0]

    @property
    def precision(self) -> str | None:
        """The precision that its name tells."""
        return precision(self.first.name)

    @property
    def model(self) -> tuple[str, str]:
        """What copies of one model in other formats and precisions have in common."""
        plain = self.stem if self.ending == "gguf" else _PRECISION.sub("", self.stem)
        return self.folder, plain.lower()

    @property
    def is_odd(self) -> bool:
        """Whether these are weights for training on, and not for pictures."""
        return any(word in self.variant.lower() for word in ("non_ema", "no_ema"))

    @property
    def with_index(self) -> tuple[RepoFile, ...]:
        """The files, and their index if there is one."""
        return (*self.files, self.index) if self.index else self.files

    @property
    def rank(self) -> tuple[object, ...]:
        """The least is the copy to be had where nothing is chosen."""
        return self.is_odd, self.is_pickle, precision_rank(self.precision), len(self.files) > 1, self.first.path


def precision(name: str) -> str | None:
    """The precision that a name tells: fp16, bf16, Q4_K_M; None for no word of it."""
    found = _PRECISION.search(name.rpartition(".")[0])
    if found is None:
        return None
    return found[1].lower() if not re.match(r"i?q\d", found[1], re.IGNORECASE) else found[1].upper()


def pruned(name: str) -> bool | None:
    """True for a name that says so; None for any other."""
    return True if _PRUNED.search(name) else None


def weights(files: Iterable[RepoFile]) -> list[Weights]:
    """The models among `files`, by path; sets that lack a shard are left out."""
    known = {file.path: file for file in files}
    found, sets = [], set()
    for file in known.values():
        shard = shard_name(file.name)
        if not is_model_name(file.name) or _OTHERS.match(file.name):
            continue
        if shard is None:
            found.append(Weights((file,)))
        elif (file.folder, *shard.key) not in sets:
            sets.add((file.folder, *shard.key))
            found += _set(file, shard, known)
    return found


def set_of(file: RepoFile, files: Iterable[RepoFile]) -> Weights | None:
    """The set that a shard, or an index, belongs to; None for a file of no set."""
    sets = [one for one in weights(files) if len(one.files) > 1 and one.folder == file.folder]
    return next((one for one in sets if file in one.files or file == one.index), None)


def _set(file: RepoFile, shard: ShardName, known: dict[str, RepoFile]) -> list[Weights]:
    front = f"{file.folder}/" if file.folder else ""
    members = [known.get(front + shard.of(number)) for number in range(1, min(shard.total, len(known)) + 1)]
    there = tuple(one for one in members if one is not None)
    if len(there) < shard.total:
        return []
    indexes = [known[front + name] for name in index_names(shard) if front + name in known]
    return [Weights(there, indexes[0] if indexes else None)]


def best(found: Iterable[Weights]) -> list[Weights]:
    """Of each model, the copy to be had where nothing is chosen: safetensors before pickles, fp16 before others."""
    chosen: dict[tuple[str, str], Weights] = {}
    for one in found:
        chosen[one.model] = min(chosen.get(one.model, one), one, key=lambda copy: copy.rank)
    return list(chosen.values())


def obvious(found: Iterable[Weights]) -> Weights | None:
    """The model that is meant where only the repository is named; None where a person has to choose."""
    copies = best(found)
    top = min((one.folder.count("/") + bool(one.folder) for one in copies), default=0)
    highest = [one for one in copies if one.folder.count("/") + bool(one.folder) == top]
    generic = [one for one in highest if one.base in GENERIC and not one.is_pickle]
    if len(copies) == 1:
        return copies[0]
    return min(generic, key=lambda one: (GENERIC.index(one.base), one.rank)) if generic else None
