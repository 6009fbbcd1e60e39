"""What is to be said of adapters before they are baked in: what refuses them, and what is left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modelhub.catalog.identify import identify
from modelhub.catalog.weighing.key_rules import key_rule
from modelhub.errors import IncompatibleError
from modelhub.lora.checking.fit import fit
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.shapes import Pair, shape_reasons
from modelhub.text import brief, few, plural

if TYPE_CHECKING:
    from modelhub.lora.baking.stack import Left, Stack, Tally
    from modelhub.lora.layers import Layers

#: Components as they are called, by what modules say they are of.
_WORDS = {
    "denoiser": "the U-Net or transformer",
    "te": "the text encoder",
    "te1": "the first text encoder",
    "te2": "the second text encoder",
    "te3": "the third text encoder",
}
#: What may be left out, and is said.
_HARMLESS = frozenset({"missing-component", "missing-module", "unknown-name"})
#: What cannot be left out in silence: the rest would be another adapter than the one that was trained.
_WRONG = {
    "dim-mismatch": ("has another size than the layer of this model", "have other sizes than the layers of this model"),
    "incomplete": ("is not whole", "are not whole"),
}
#: Rules of a check that are looked at here module by module.
_OWN = frozenset({"sizes-differ", "input-differs", "incomplete"})
_OUT = "leave them out with a weight of 0, as in REF:1,*attn2.to_k*=0"


def check(stack: Stack) -> None:
    """Raise IncompatibleError for adapters that cannot be baked in, with the first module of each that does not fit."""
    for tally in stack.tallies:
        name = brief(tally.applied.network.name)
        wrong = [left for left in tally.left if left.reason or left.fate.state not in _HARMLESS]
        if wrong:
            raise _misfit(name, tally, wrong)
        if tally.left and not tally.baked:
            raise IncompatibleError(
                f"Nothing of {name} fits this model: {_left_words(tally.left)}.",
                "`modelhub lora check LORA CHECKPOINT` tells what it is for.",
            )
        if not tally.silent:  # of an adapter that is used in part its user knows what is wanted
            _check_kind(name, tally, stack.layers)


def _check_kind(name: str, tally: Tally, layers: Layers) -> None:
    """Raise IncompatibleError for an adapter that a check of the pair calls incompatible though its sizes fit."""
    network = tally.applied.network
    lora = Known.of_identity(identify(network.source.header, name=network.name), network.name)
    pair = Pair(fit(network.adapter, layers), lora, Known.of_identity(layers.identity, "the model"))
    for reason in shape_reasons(pair):
        if reason.severity == "incompatible" and reason.id not in _OWN:
            raise IncompatibleError(
                f"{name} does not fit this model: {reason.say}",
                "`modelhub lora check LORA CHECKPOINT` tells more; weights that leave out a part bake in the rest: "
                "REF:unet=1,te=0.",
            )


def _misfit(name: str, tally: Tally, wrong: list[Left]) -> IncompatibleError:
    first = wrong[0]
    alike = [left for left in wrong if _why([left]) == _why([first])]
    total = len(tally.applied.network.patches)
    hint = "`modelhub lora check LORA CHECKPOINT` tells more"
    return IncompatibleError(
        f"{name} does not fit this model: {len(alike):,} of its {plural(total, 'module')} {_why(alike)}, "
        f"the first is {brief(first.patch.module.name, 100)}{_detail(first)}.",
        f"{hint}; {_OUT}." if len(wrong) * 2 < total else f"{hint}.",
    )


def _why(alike: list[Left]) -> str:
    """What is wrong with modules that are so alike, as the verb of a sentence."""
    if alike[0].reason:
        return "cannot be baked in"
    return _WRONG[alike[0].fate.state][len(alike) > 1]


def _detail(left: Left) -> str:
    """What a module wants, and what the model has."""
    if left.reason:
        return f", which {brief(left.reason, 200)}"
    said = [brief(left.fate.say, 100)] if left.fate.say else []
    layer = left.fate.layer
    said += [f"the model's {brief(layer.tensor, 100)} is {list(layer.shape)}"] if layer else []
    return f" ({', '.join(said)})" if said else ""


def _left_words(left: list[Left]) -> str:
    components = Counter(_component(one) for one in left if one.fate.state == "missing-component")
    said = [f"{plural(count, 'module')} for {word}, which it lacks" for word, count in components.items()]
    rest = [one for one in left if one.fate.state != "missing-component"]
    if rest:
        said.append(
            f"{plural(len(rest), 'module')} of no layer that it has, such as {brief(rest[0].patch.module.name)}"
        )
    return "; ".join(said)


def _component(left: Left) -> str:
    return _WORDS.get(left.patch.module.place.components[0], "another component")


def remarks(stack: Stack) -> list[str]:
    """Sentences about what of the adapters is not baked in, or in another way than usual."""
    names = Counter(tally.applied.network.name for tally in stack.tallies)
    twice = [f"{brief(name)} is baked in {count} times." for name, count in names.items() if count > 1]
    said = [(t.applied.network.name, say) for t in stack.tallies for say in _of_one(t, stack.layers)]
    return [*(f"{brief(name)}: {say}" for name, say in said), *twice]


def _of_one(tally: Tally, layers: Layers) -> Iterator[str]:
    total = len(tally.applied.network.patches)
    for pattern in _idle(tally, layers):
        yield f"no layer that it changes is named like '{brief(pattern)}'."
    if total and tally.silent == total:
        yield "its weight is 0 everywhere, and nothing of it is baked in."
    yield from _missing(tally.left, total)
    if tally.narrow:
        patch, layer = tally.narrow[0]
        yield (
            f"the model takes in {layer.shape[1]} channels and {brief(patch.module.name)} knows "
            f"{patch.module.size.in_size}, which come first; the others stay as they are."
        )
    if tally.biasless:
        names = few([patch.module.name for patch in tally.biasless])
        yield f"biases that it changes are left out where the model has none: {names}."
    yield from _beside(tally)


def _idle(tally: Tally, layers: Layers) -> list[str]:
    """The patterns of its weight that none of its layers has a name for."""
    patterns = [pattern for pattern, _ in tally.applied.weight.keys]
    found = [layers.find(patch.module.place) for patch in tally.applied.network.patches] if patterns else []
    spots = [layer.spot for layer in found if layer is not None]
    return [pattern for pattern in patterns if not any(key_rule(pattern).fits(*spot) for spot in spots)]


def _missing(left: Iterable[Left], total: int) -> Iterator[str]:
    components = Counter(_component(one) for one in left if one.fate.state == "missing-component")
    for word, count in components.items():
        verb = "is" if count == 1 else "are"
        yield f"{count:,} of {plural(total, 'module')} {verb} for {word}, which this file does not have."
    lost = [one.patch.module.name for one in left if one.fate.state in ("missing-module", "unknown-name")]
    if lost:
        verb = "has" if len(lost) == 1 else "have"
        yield f"{len(lost):,} of {plural(total, 'module')} {verb} no layer here, and nowhere to go: {few(lost)}."


def _beside(tally: Tally) -> Iterator[str]:
    """What stands in the file beside the modules."""
    adapter = tally.applied.network.adapter
    if adapter.bundled:
        yield f"the embeddings packed with it are not baked in: {few(adapter.bundled)}."
    if adapter.replaced:
        yield f"layers that it brings whole are not baked in: {few(list(adapter.replaced))}."
