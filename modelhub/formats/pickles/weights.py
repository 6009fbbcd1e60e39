"""Where the weights are in what a pickle holds: unwrapped, flattened to names with dots, told from all the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.survey import args_of, quoted
from modelhub.formats.pickles.tensors import is_tensor
from modelhub.formats.pickles.values import Made, Persistent, Table, Value, is_mapping, key_text, pairs_of, state_of

#: Names under which programs wrap the weights, the better one first.
WRAPPERS = ("state_dict", "model_state_dict", "params_ema", "params-ema", "params", "model", "net", "weights")
#: What a training needs to go on, and no picture does.
_TRAINING = re.compile("optimizer|lr_scheduler|scheduler|callback|loop|amp_scaler|native_amp|hparams|hyper_parameters")
MAX_DEPTH = 64
MAX_TENSORS = 50_000
MAX_NAME = 4096
MAX_METADATA, _MAX_KEY, _MAX_VALUE, _MAX_LIST = 100, 100, 500, 16

#: Values that can be tensors or hold some.
_DEEPER = (Table, Made, Persistent, list, tuple)
#: Where a torch module keeps its parts.
_PARTS = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Names and tensors in the order of the file; `root` is the wrapper they stood in, "" for none."""

    root: str
    tensors: list[tuple[str, Value]]


def find_weights(archive: Archive) -> Weights:
    """The weights of a file; what is left out beside them is noted as a finding."""
    root = archive.root
    if is_tensor(root, archive):
        return Weights("", [("tensor", root)])
    inside = _children(root, archive) if is_mapping(root) else []
    for wrapper in WRAPPERS:
        for name, value in inside:
            if name == wrapper and (found := flatten(value, archive)):
                _note_rest(archive, inside, wrapper)
                return Weights(wrapper, found)
    return Weights("", flatten(root, archive))


def _note_rest(archive: Archive, inside: list[tuple[str, Value]], wrapper: str) -> None:
    for name, value in inside:
        count = (1 if is_tensor(value, archive) else len(flatten(value, archive))) if name != wrapper else 0
        if count:
            were = "tensor of {} was" if count == 1 else "tensors of {} were"
            said = f"{count} {were.format(quoted(name))} left out: the weights are in {quoted(wrapper)}."
            archive.survey.find(said, loss=_TRAINING.match(name) is None)


def flatten(value: Value, archive: Archive) -> list[tuple[str, Value]]:
    """Names with dots, and tensors, of everything below `value`; a name that comes up twice keeps its first tensor.

    Raises FileError for more than 50,000 tensors or names of more than 4096 characters.
    """
    found: dict[str, Value] = {}
    for name, tensor in _walk(value, archive):
        if name in found:
            archive.survey.find(f"The name {quoted(name)} comes up twice; the first tensor counts.", loss=True)
        elif len(name) > MAX_NAME or len(found) >= MAX_TENSORS:
            raise archive.survey.too_much(
                f"has more than {MAX_TENSORS} tensors, or names of more than {MAX_NAME} characters"
            )
        else:
            found[name] = tensor
    return list(found.items())


def _walk(root: Value, archive: Archive) -> Iterator[tuple[str, Value]]:
    """All tensors below `root`, depth first; a value within itself is not entered again."""
    above: list[int] = [id(root)]
    waiting = [("", iter(_children(root, archive)))]
    while waiting:
        prefix, rest = waiting[-1]
        step = next(rest, None)
        if step is None:
            waiting.pop()
            above.pop()
        elif is_tensor(step[1], archive):
            yield prefix + step[0], step[1]
        elif type(step[1]) in _DEEPER and id(step[1]) not in above:
            if len(above) >= MAX_DEPTH:
                archive.survey.find(f"What is nested more than {MAX_DEPTH} deep was left out.", loss=True)
                continue
            above.append(id(step[1]))
            waiting.append((f"{prefix}{step[0]}."[: MAX_NAME + 2], iter(_children(step[1], archive))))


def _children(value: Value, archive: Archive) -> list[tuple[str, Value]]:
    """What a dict, list or object holds, by names; the value that was set last counts."""
    if type(value) in (list, tuple):
        _count(len(value), archive)
        return [(str(index), item) for index, item in enumerate(value) if type(item) in _DEEPER]
    if not isinstance(value, Table | Made):
        return []
    _count(_size(value), archive)
    found = {text: item for key, item in pairs_of(value) if (text := key_text(key)) is not None}
    if type(value) is Made and not is_mapping(value):
        found.update(_parts(value, archive))
    return list(found.items())


def _size(value: Table | Made) -> int:
    """At least the number of steps that listing `value` takes."""
    if isinstance(value, Table):
        return _length(value)
    states = value.states or []
    parts = (part for state in states for part in (state[:2] if type(state) is tuple else (state,)))
    return len(states) + _length(value) + sum(map(_length, parts))


def _length(value: Value) -> int:
    """Entries of a list or mapping, and of what a mapping is constructed from."""
    if type(value) in (list, tuple):
        return len(value)
    own = len(value.pairs or ()) if isinstance(value, Table | Made) else 0
    return own + sum(_length(part) for part in args_of(value)[:2] if type(part) in (list, tuple, Table))


def _count(size: int, archive: Archive) -> None:
    archive.survey.visits -= size
    archive.survey.visit()


def _parts(made: Made, archive: Archive) -> dict[str, Value]:
    """The tensors and modules of an object: of a torch module by its tables, of TorchScript all attributes."""
    state = state_of(made)
    if made.path.startswith("__torch__."):
        return state
    found: dict[str, Value] = {}
    for part in _PARTS:
        if part in state and is_mapping(state[part]):
            found.update(_children(state[part], archive))
    return found


def metadata_of(archive: Archive, root: str) -> dict[str, str]:
    """What a file says beside its tensors, as text by keys `pickle.<name>`; the wrapper and the container among it."""
    found: dict[str, str] = {}
    for name, value in _children(archive.root, archive) if is_mapping(archive.root) else ():
        text = _said(value)
        if text is not None and len(name) <= _MAX_KEY and len(found) < MAX_METADATA - 2:
            found[f"pickle.{_whole(name)}"] = _whole(text[:_MAX_VALUE])
    return found | {"pickle.root": root, "pickle.container": archive.survey.container}


def _said(value: Value) -> str | None:
    """A number, a text or a short list of them; None for everything else."""
    if type(value) is list or type(value) is tuple:
        is_short = 0 < len(value) <= _MAX_LIST and all(_is_plain(item) for item in value)
        return json.dumps(value, ensure_ascii=False) if is_short else None
    if not _is_plain(value):
        return None
    return value if type(value) is str else json.dumps(value)


def _is_plain(value: Value) -> bool:
    if type(value) is str:
        return len(value) <= _MAX_VALUE
    return type(value) in (bool, float) or (type(value) is int and value.bit_length() <= 64)


def _whole(text: str) -> str:
    """Text without halves of characters, which no database takes."""
    return text.encode("utf-8", "replace").decode()
