"""What names and shapes say of a pair: sizes, layers that are missing, components that are, and the vote for a base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from modelhub.catalog.architectures import architectures
from modelhub.catalog.keymaps import mapped
from modelhub.lora.checking.answer import Reason, Verdict
from modelhub.lora.checking.fit import Fit
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.relations import (
    Relation,
    component_names,
    has_fewer,
    missing,
    of_variant,
    related,
)
from modelhub.lora.fitting import APPLIED
from modelhub.text import plural

#: Of the denoiser's modules, the share that may be missing in a model that was not pruned.
_MANY = 0.2
#: States of modules whose component is there, and whose layer is not.
_ABSENT = ("missing-module", "unknown-name")
#: Kinds of files that adapters change; a text encoder by itself has some of their layers.
MODELS = frozenset({"checkpoint", "diffusion-model", "text-encoder"})


@dataclass(frozen=True, eq=False)
class Pair:
    """What rules look at. `bases` are what the adapter's modules vote for."""

    fit: Fit
    lora: Known
    model: Known

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The architectures that the modules vote for, all equally."""
        return tuple((self.lora.adapter or {}).get("bases", ()))

    @cached_property
    def relation(self) -> Relation | None:
        """The row about the model and another architecture that the adapter is for."""
        model = self.model.architecture or ""
        return next((row for base in (*self.claimed, *self.bases) if (row := related(base, model))), None)

    @cached_property
    def claimed(self) -> tuple[str, ...]:
        """The architecture that metadata gives the adapter, where its modules leave it open."""
        told = self.lora.architecture
        return (told,) if told and (told not in self.bases or len(self.bases) > 1) else ()

    @cached_property
    def is_of_one_kind(self) -> bool:
        """Whether the adapter is for the model's architecture, or one with alike blocks, as far as is known."""
        told = (*self.claimed, *self.bases)
        return not told or self.model.architecture in told or self.relation is not None

    @property
    def is_pruned(self) -> bool:
        """Whether the model lacks layers that its kind has: it was distilled, or its blocks are those of another."""
        rows = of_variant(self.model.architecture, self.model.variant)
        fewer = has_fewer(self.model.architecture, self.model.facts)
        return fewer or any(row.pruned for row in rows) or self.relation is not None


@cache
def _titles() -> Mapping[str, str]:
    return {one.id: one.title for one in architectures()}


def titles(ids: tuple[str, ...]) -> str:
    """What people call architectures: `Stable Diffusion 1.x or Stable Diffusion 2.x`."""
    return " or ".join(_titles().get(one, one) for one in ids)


def shape_reasons(pair: Pair) -> Iterator[Reason]:
    """Every reason that names and shapes give."""
    model, fit = pair.model, pair.fit
    if model.kind not in MODELS and model.kind != "unknown":
        yield Reason("no-model", f"A file of kind {model.kind} is no model that adapters are for.", "incompatible")
        return
    if (ignorance := _ignorance(pair)) is not None:
        yield ignorance
        if not fit.total("ok", "reshape", "dim-mismatch"):
            return
    found = [*_base(pair), *_sizes(pair), *_components(pair), *_incomplete(pair)]
    if fit.sized:  # a file that is packed for one program has names of that program
        found += [*_layers(pair), *_names(pair)]
    if fit.sized and 0 < fit.total() == fit.total("ok"):
        yield Reason("modules-fit", f"{_all(pair)} their layer, in equal sizes.")
    yield from found


def _all(pair: Pair) -> str:
    count = pair.fit.total()
    return f"All {count:,} modules have" if count > 1 else "The one module has"


def _ignorance(pair: Pair) -> Reason | None:
    """Why nothing can be said, where that is so: never is a pair wrong because little is known of it."""
    model = pair.model
    if model.architecture is None:
        return Reason(
            "unknown-architecture", "Nobody knows what the checkpoint is: nothing can be promised.", "unknown"
        )
    if not _is_lost(pair) or (pair.bases and not pair.fit.sized):
        return None
    if not pair.bases:
        return Reason("nothing-known", _nothing(pair), "unknown")
    if pair.is_of_one_kind and model.architecture not in mapped():
        say = "The LoRA calls the layers of this model otherwise than the file does, and no table tells which is which."
        return Reason("names-not-known", say, "unknown")
    return None


def _is_lost(pair: Pair) -> bool:
    """Whether of the modules whose component is there none finds a layer."""
    fit = pair.fit
    whole = fit.total() - fit.total("incomplete", "missing-component")
    return whole > 0 and fit.total(*_ABSENT) == whole


def _nothing(pair: Pair) -> str:
    said = f" Its metadata says {titles(pair.claimed)}, which no tensor proves." if pair.claimed else ""
    return f"Nobody knows what the LoRA is for, and none of its names is in the checkpoint.{said}"


def _share(count: int, pair: Pair) -> str:
    return f"{count} of {plural(pair.fit.total(), 'module')}"


def _sizes(pair: Pair) -> Iterator[Reason]:
    wrong = pair.fit.total("dim-mismatch")
    if wrong and wrong == pair.fit.marked("input", "dim-mismatch"):
        say = f"{_share(wrong, pair)} have other channels than the model's input: most programs refuse or skip them."
        rows = of_variant(pair.model.architecture, pair.model.variant)
        more = " `modelhub lora bake` changes the first channels of more." if any(map(_may_be_baked, rows)) else ""
        yield Reason("input-differs", say + more, "incompatible")
    elif wrong:
        say = f"{_share(wrong, pair)} have other sizes than their layers: what is left would be a broken patch."
        yield Reason("sizes-differ", say, "incompatible")
    if pair.fit.total("reshape"):
        say = "The LoRA widens the model's input: only programs that know such files apply it; it cannot be baked in."
        yield Reason("widens-input", say)


def _may_be_baked(row: Relation) -> bool:
    """Whether a row is about models whose additional channels stand behind those that adapters know."""
    return row.id == "inpaint-input"


def _layers(pair: Pair) -> Iterator[Reason]:
    """Layers that the model has not got, though it has the component."""
    fit, excused = pair.fit, 0
    for row in missing(pair.model.architecture):
        if fit.marked(row.mark, *_ABSENT):
            excused += fit.marked(row.mark, "missing-module")
            yield Reason(row.id, row.say, row.verdict)
    extra = fit.marked("auxiliary", "missing-module")
    denoiser = fit.total("missing-module", component="unet") - excused - extra
    if denoiser > 0:
        yield _missing(denoiser, fit.total(component="unet"), pair)
    others = fit.total("missing-module") - fit.total("missing-module", component="unet")
    if others:
        say = f"{_share(others, pair)} are for layers that the text encoder here has not got; loaders skip them."
        yield Reason("encoder-layers-missing", say, "partly-incompatible")


def _missing(count: int, total: int, pair: Pair) -> Reason:
    name = component_names(pair.model.architecture)["unet"]
    if count > _MANY * total and not pair.is_pruned:
        say = f"{count} of {total} modules of the {name} have no layer in the checkpoint."
        return Reason("many-layers-missing", say, "incompatible")
    say = f"{count} of {total} modules of the {name} have no layer in the checkpoint; loaders skip them without a word."
    return Reason("layers-missing", say, "partly-incompatible")


def _components(pair: Pair) -> Iterator[Reason]:
    """Components that the file has not got: nothing is wrong with the pair, something has to come from elsewhere."""
    fit = pair.fit
    absent = fit.total("missing-component")
    denoiser = fit.total("missing-component", component="unet")
    if absent and absent == fit.total():
        what = "the denoiser" if denoiser == absent else "a text encoder" if not denoiser else "components"
        say = f"Nothing to apply here: all of {plural(absent, 'module')} are for {what} that this file has not."
        yield Reason("nothing-to-apply", say, "partial")
        return
    if absent > denoiser:
        say = f"{_share(absent - denoiser, pair)} are text-encoder and need a TE supplied separately."
        yield Reason("encoder-absent", say, "partial")
    if denoiser:
        say = f"{_share(denoiser, pair)} are for the denoiser, which this file has not."
        yield Reason("denoiser-absent", say, "partial")


def _names(pair: Pair) -> Iterator[Reason]:
    """Names that nobody knows. Norms and biases are no loss."""
    fit = pair.fit
    extra = fit.marked("auxiliary", "unknown-name", "missing-module")
    if extra:
        say = f"{_share(extra, pair)} are for norms or biases that the checkpoint has not got under these names."
        yield Reason("auxiliary-unknown", say, "caution")
    excused = sum(fit.marked(row.mark, "unknown-name") for row in missing(pair.model.architecture))
    others = fit.total("unknown-name") - fit.marked("auxiliary", "unknown-name") - excused
    if others:
        say = f"{_share(others, pair)} have names that no known model has: they would not be applied."
        yield Reason("unknown-names", say, "partly-incompatible")


def _incomplete(pair: Pair) -> Iterator[Reason]:
    broken = pair.fit.total("incomplete")
    if broken:
        verdict: Verdict = "incompatible" if broken == pair.fit.total() else "partly-incompatible"
        say = f"{_share(broken, pair)} are incomplete: parts are missing or do not fit each other; some programs crash."
        yield Reason("incomplete", say, verdict)


def _base(pair: Pair) -> Iterator[Reason]:
    """What the modules vote for, and what metadata adds where they leave it open."""
    model, bases = pair.model, pair.bases
    if model.architecture is None or model.kind == "text-encoder":
        return
    if model.architecture in pair.claimed:
        yield Reason("metadata-base", f"The metadata of the LoRA says {titles(pair.claimed)}, which the checkpoint is.")
    elif bases and model.architecture not in bases:
        yield from _other(pair)
    elif pair.claimed:
        yield from _of_relation(pair) or [_claimed(pair)]
    elif len(bases) > 1 and pair.lora.confidence != "structure" and pair.fit.total(*APPLIED):
        # of sizes that no released model has, those of this one are proof enough
        say = f"These modules are the same in {titles(bases)}: nothing tells which of them the LoRA was made for."
        yield Reason("base-ambiguous", say, "caution")


def _claimed(pair: Pair) -> Reason:
    say = f"The shapes fit, but the metadata of the LoRA says {titles(pair.claimed)}."
    return Reason("metadata-base-differs", say, "caution")


def _of_relation(pair: Pair) -> list[Reason]:
    row = pair.relation if pair.fit.total(component="unet") else None  # it is about blocks of the denoiser
    return [Reason(row.id, row.say, row.verdict)] if row else []


def _other(pair: Pair) -> Iterator[Reason]:
    """The modules are those of another architecture than the model's."""
    model = pair.model
    if row := _of_relation(pair):
        yield from row
        return
    by_structure = pair.lora.confidence == "structure" and pair.fit.total(*APPLIED) == pair.fit.total()
    if not by_structure:
        named = titles((model.architecture or "",))
        say = f"The LoRA is for {titles(pair.bases)}, by its modules; the checkpoint is {named}."
        yield Reason("other-architecture", say, "incompatible")
