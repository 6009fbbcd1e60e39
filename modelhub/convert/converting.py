"""Convert: what any readable source becomes as safetensors, planned from headers; bit for bit unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.becoming import Part
from modelhub.catalog.belonging import belonging, groups
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.unpacking import refuse_blocks, unpacked
from modelhub.convert.conversion import Conversion
from modelhub.convert.describing import Described, origin, truthful, without_origin
from modelhub.convert.embeddings import embedding_names
from modelhub.convert.goals import result_path
from modelhub.convert.precision import in_precision, precision_findings
from modelhub.convert.telling import Telling
from modelhub.errors import NotAModelError, UnsafePickleError, UsageError
from modelhub.formats.files import claims_safetensors, format_of
from modelhub.formats.leaving import kept
from modelhub.formats.naming import INDEX, shard_name
from modelhub.formats.opening import members, open_source
from modelhub.formats.pickles.disguise import disguise
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.source import TensorSource
from modelhub.formats.stat import FileStat
from modelhub.formats.watching import stats_of


@dataclass(frozen=True, slots=True)
class Options:
    """What a user asks for: precisions ("fp16", "bf16", "fp32", "keep"), and what to do about pickles.

    `salvage` takes the tensors out of a dangerous one, too; `max_output` is how many bytes a file may unpack to.
    """

    dtype: str = "keep"
    vae_dtype: str = "keep"
    salvage: bool = False
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """What is at `path`, open for reading: what it is, and how its files were before they were opened."""

    path: Path
    source: TensorSource
    identity: Identity
    stats: Mapping[Path, FileStat]


def convert(model: Model, options: Options, *, sha256: str | None = None) -> Conversion:
    """What a model becomes; no tensor is read.

    `sha256` is that of the file, where it is known. Raises UsageError when nothing would change, IncompatibleError for
    weights that no safetensors file can hold as they are.
    """
    path, source, identity = model.path, model.source, model.identity
    plan = _Plan(source, identity)
    plan.unpack(path, options)
    plan.take(embedding_names(plan.view, plan.identity))
    plan.take(in_precision(plan.view, plan.identity, options.dtype, options.vae_dtype, plan.telling.stored))
    cast = plan.view
    plan.to_one_file(path)
    _refuse_idle(plan, path, options)
    plan.describe(path, source, sha256)
    plan.rest()
    said = _said(path, source)
    plan.warnings += _warnings(identity, said)
    parts = [*plan.telling.parts(plan.view.header), *plan.without_tensors]
    findings = [*(f"{danger[:1].upper()}{danger[1:]}." for danger in said.dangers), *said.findings]
    losses = [*said.losses, *([HYPERNETWORK] if identity.kind == "hypernetwork" else [])]
    return Conversion(
        plan.view, model.stats, parts, plan.warnings, findings, losses, afterwards=lambda: precision_findings(cast)
    )


def opened(path: Path, options: Options) -> TensorSource:
    """Open what is to be converted. Raises UnsafePickleError for a pickle that would run code, unless it is salvaged.

    Else as `modelhub.formats.opening.open_source`, with the words of `inspect` for what is no model.
    """
    is_alone = not path.is_dir() and shard_name(path.name) is None
    if is_alone and format_of(path) == "pickle":
        try:
            return PickleFile(path, salvage=options.salvage, max_output=options.max_output)
        except UnsafePickleError as error:
            raise UnsafePickleError(error.message, f"{error.hint} {_SALVAGE}") from None
    if is_alone and (what := disguise(path)):
        raise UnsafePickleError(f"{path} is {what}.", "It was made to deceive: look for the model elsewhere.")
    try:
        return open_source(path)
    except NotAModelError as error:
        from modelhub.convert.inspect.strangers import explain

        raise explain(path, error) from None


@contextmanager
def open_model(path: Path, options: Options) -> Iterator[Model]:
    """What is at `path`, until the end. Raises as `opened`."""
    stats = stats_of(members(path))
    with opened(path, options) as source:
        form = "diffusers" if path.is_dir() else format_of(path)
        yield Model(path, source, identify(source.header, name=path.name, form=form), stats)


@contextmanager
def planned(path: Path, options: Options, *, sha256: str | None = None) -> Iterator[Conversion]:
    """The conversion of what is at `path`, open for reading until the end. Raises as `opened` and `convert`."""
    with open_model(path, options) as model:
        yield convert(model, options, sha256=sha256)


def goal_for(path: Path, given: Path | None, options: Options) -> Path:
    """Where the result goes: `given`, a file or a folder that is there, else beside the source under its stem."""
    goal = result_path(path, given)
    if goal != path:
        return goal
    words = [word for word in (options.dtype, options.vae_dtype) if word != "keep"]
    return result_path(path, given, f"-{words[0] if words else 'converted'}")


#: What is said of a conversion that no program can use.
HYPERNETWORK = "Programs load hypernetworks from .pt only: keep the original to use it."
_SALVAGE = "Or take its tensors alone out of it with `modelhub convert --salvage`."


class NothingToDoError(UsageError):
    """A file that is already what it would become."""


class _Plan:
    """A view that grows step by step, with what became of the tensors on the way."""

    def __init__(self, source: TensorSource, identity: Identity) -> None:
        self.view, self.identity = source, identity
        self.telling = Telling(source.header)
        #: What is said of no tensor: folders that are never read.
        self.without_tensors: list[Part] = []
        self.warnings: list[str] = []
        self.is_assembled = False

    def take(self, step: tuple[TensorSource, list[Part], list[str]]) -> bool:
        """Go on from the result of a step; whether it changed anything."""
        view, parts, warnings = step
        self.telling.take(parts)
        self.without_tensors += [one for one in parts if not one.names]
        self.warnings += warnings
        if view is self.view:
            return False
        self.telling.follow(view)
        self.view = view
        return True

    def to_one_file(self, path: Path) -> None:
        """A pipeline of several components becomes one checkpoint."""
        if not (path / INDEX).is_file():
            return
        from modelhub.catalog.folder.single_file import single_file

        self.is_assembled = self.take(single_file(self.view, self.identity))
        self.identity = identify(self.view.header, name=path.name)

    def unpack(self, path: Path, options: Options) -> None:
        """Packed weights become plain floats, if a precision is asked for; blocks have no other way."""
        if options.dtype != "keep":
            if self.take(unpacked(self.view, self.identity)):
                self.identity = identify(self.view.header, name=path.name, form=self.identity.format)
        else:
            refuse_blocks(self.view.header, str(path))

    def describe(self, path: Path, source: TensorSource, sha256: str | None) -> None:
        """Give the view its metadata; a copy under a better name keeps even its header."""
        container = container_of(path, source)
        if container == "safetensors" and not self.telling.changes:
            return
        metadata = kept(self.view.header.metadata)
        if self.telling.changes:
            metadata, warnings = truthful(metadata, self.view.header.tensors)
            self.warnings += warnings
        aliases = source.aliases if isinstance(source, PickleFile) else ()
        self.view = Described(self.view, {**without_origin(metadata), **origin(path.name, container, sha256, aliases)})

    def rest(self) -> None:
        """What no step has spoken of stays as it is, told by components."""
        if self.is_assembled:  # which has told of every tensor, by its name in the folder
            return
        where = belonging(self.view.header, self.identity)
        words = {group.id: group.what for group in groups()}
        kinds = [(one.words, one.names) for one in where.owned]
        kinds += [(words.get(which, "markers"), names) for which, names in where.groups.items()]
        kinds.append(("other tensors" if where.owned else "weights", where.extras))
        for what, names in kinds:
            self.telling.tell("keep", what, "", [name for name in names if self.telling.action(name) is None])


def container_of(path: Path, source: TensorSource) -> str:
    """What kind of file it was, in words: safetensors, pickle zip, gguf, safetensors shards, diffusers."""
    if path.is_dir():
        return "diffusers"
    form = format_of(path)
    kind = source.header.metadata.get("pickle.container", "") if isinstance(source, PickleFile) else ""
    return " ".join(word for word in (form, kind, "shards" if shard_name(path.name) else "") if word)


def _refuse_idle(plan: _Plan, path: Path, options: Options) -> None:
    """Raise UsageError for a file that is what it would become."""
    if plan.telling.changes or path.is_dir() or shard_name(path.name) or format_of(path) != "safetensors":
        return
    if claims_safetensors(path.name):
        done = "" if options.dtype == "keep" else f", in {options.dtype} as asked"
        raise NothingToDoError(
            f"{path} is safetensors already{done}: nothing would change.",
            "Another precision is made with --dtype, a smaller file with `modelhub prune`; else just copy it.",
        )


class _Said(NamedTuple):
    """What the pickles of a source had to say."""

    dangers: list[str]
    findings: list[str]
    losses: list[str]


def _said(path: Path, source: TensorSource) -> _Said:
    """What is worth knowing of the pickles that a source is made of: of sets and folders, file by file."""
    found = _Said([], [], [])
    if isinstance(source, PickleFile):
        return _Said([*source.dangers], [*source.findings], [*source.losses])
    for file in members(path):
        if file != path and not claims_safetensors(file.name) and format_of(file) == "pickle":
            with PickleFile(file) as pickle:
                found.findings.extend(f"{file.name}: {finding}" for finding in pickle.findings)
                found.losses.extend(f"{file.name}: {loss}" for loss in pickle.losses)
    return found


def _warnings(identity: Identity, said: _Said) -> Iterator[str]:
    if said.dangers:
        yield (
            "The source would run code of its own in programs that load it. Nothing of it was run, and the result "
            "holds tensors and text alone."
        )
    if identity.kind == "hypernetwork":
        yield HYPERNETWORK
