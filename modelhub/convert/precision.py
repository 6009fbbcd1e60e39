"""Another precision for the weights of a source: which tensors change, which stay as they are, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from modelhub.catalog.becoming import Part, part
from modelhub.catalog.belonging import Belonging, Owned, belonging
from modelhub.catalog.identity import Identity
from modelhub.catalog.match import Names
from modelhub.catalog.packing import packing
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.cast import PRECISIONS, Cast
from modelhub.formats.header import BLOCKS, FLOAT_DTYPES, Header
from modelhub.formats.source import TensorSource
from modelhub.text import few, plural

#: What `--dtype` takes: a precision, or "keep" for that of the source.
CHOICES = ("keep", *PRECISIONS)
_NAMES = {dtype: name for name, dtype in PRECISIONS.items()} | {"F64": "fp64", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}
#: Bytes are no floats, so where they came to be floats they were packed in 4 bits.
_NAMES |= {"U8": "4-bit"}
#: What a sentence says of numbers that another precision cannot hold.
OVERFLOWED = "did not fit and became infinite"
#: VAEs that SDXL has as well as SD 1 and 2, which the header does not tell apart.
_SHARED_VAE = "kl-f8-4ch"
_BLACK = "overflows in fp16: pictures come out black, unless it is a version made for fp16."


def in_precision(
    source: TensorSource,
    identity: Identity,
    dtype: str,
    vae_dtype: str = "keep",
    stored: Callable[[str], str] = lambda name: "",
) -> tuple[TensorSource, list[Part], list[str]]:
    """`source` with its weights in `dtype` and its VAE in `vae_dtype` ("fp16", "bf16", "fp32", "keep").

    Answers with the view (the source itself when nothing changes), what becomes of the weights, and warnings. Cast are
    the float weights of components; in a file without components, such as a LoRA, all floats but scalars. Integers,
    markers, the noise schedule and what stands beside components never change. The VAE keeps its precision, unless
    `vae_dtype` says another or the file is nothing but a VAE. `stored` gives the dtype that a tensor has in the file,
    where `source` is unpacked from it. Raises IncompatibleError for packed weights, UsageError
    for a precision that there is not.
    """
    for word in (dtype, vae_dtype):
        if word not in CHOICES:
            raise UsageError(f"There is no precision {word!r}.", f"Choose one of {', '.join(CHOICES)}.")
    if dtype == vae_dtype == "keep":
        return source, [], []
    header = source.header
    where = belonging(header, identity)
    goals = [*(_goals(where, identity, dtype, vae_dtype) if where.owned else _loose(where, header, dtype))]
    _refuse_packed(header, [name for _, names, goal in goals if goal != "keep" for name in names], dtype)
    dtypes: dict[str, str] = {}
    parts: list[Part] = []
    for what, names, goal in goals:
        changed = [name for name in names if goal != "keep" and _changes(header, name, PRECISIONS[goal])]
        dtypes.update(dict.fromkeys(changed, PRECISIONS.get(goal, "")))
        parts += _told(what, changed, goal, header, stored)
        if goal == "keep" and dtype != "keep":
            parts += _spared(what, [name for name in names if _changes(header, name, PRECISIONS[dtype])], header)
    view = Cast(source, dtypes) if dtypes else source
    return view, parts, _warnings(where, identity, dtypes)


def precision_findings(view: TensorSource) -> list[str]:
    """What casting did to numbers, as sentences; complete once the whole view was read."""
    found = view.findings if isinstance(view, Cast) else {}
    overflowed = {name: one.overflowed for name, one in found.items()}
    before = {name: one.not_finite - one.overflowed for name, one in found.items()}
    goals = {view.info(name).dtype for name, count in overflowed.items() if count}
    return [
        *_counted(overflowed, OVERFLOWED, "Use bf16 or fp32." if goals == {"F16"} else "Keep the precision they had."),
        *_counted(before, "came as NaN or infinite from the source", "`modelhub repair` looks closer."),
    ]


def _counted(counts: Mapping[str, int], what: str, hint: str) -> Iterable[str]:
    """How many weights of which tensors are `what`, and what to do; nothing where there are none."""
    names = [name for name, count in counts.items() if count]
    if names:
        count = f"{plural(sum(counts.values()), 'weight')} in {plural(len(names), 'tensor')}"
        yield f"{count} {what}: {few(names, 60)}. {hint}"


def precision_name(dtype: str) -> str:
    """What people call a dtype: fp16 for F16."""
    return _NAMES.get(dtype, dtype)


def _changes(header: Header, name: str, goal: str) -> bool:
    dtype = header.tensors[name].dtype
    return dtype in FLOAT_DTYPES and dtype != goal


def _goals(where: Belonging, identity: Identity, dtype: str, vae_dtype: str) -> Iterable[tuple[str, list[str], str]]:
    """Each component in words, its tensors and the precision wanted for them."""
    own = dtype if identity.kind == "vae" and vae_dtype == "keep" else vae_dtype
    for one in where.owned:
        yield one.words, one.names, own if one.role == "vae" else dtype
    ema = [name for name in where.group("ema") if _is_weight(name)]
    if ema:
        yield "EMA weights", ema, dtype


def _is_weight(name: str) -> bool:
    return not name.endswith(("ema.decay", "ema.num_updates"))


def _loose(where: Belonging, header: Header, dtype: str) -> Iterable[tuple[str, list[str], str]]:
    """The floats of a file without components; scalars, such as the alphas of a LoRA, are no weights."""
    yield "weights", [name for name in where.extras if header.tensors[name].numel > 1], dtype


def _told(what: str, changed: list[str], goal: str, header: Header, stored: Callable[[str], str]) -> Iterable[Part]:
    if changed:
        old = dict.fromkeys(precision_name(stored(name) or header.tensors[name].dtype) for name in changed)
        yield part("change", what, f"{' and '.join(old)} to {goal}", changed, header)


def _spared(what: str, names: list[str], header: Header) -> Iterable[Part]:
    """The VAE, which keeps its precision when the others change."""
    if names:
        own = dict.fromkeys(precision_name(header.tensors[name].dtype) for name in names)
        yield part("keep", what, f"stays in {' and '.join(own)} unless --vae-dtype says another", names, header)


def _refuse_packed(header: Header, wanted: Iterable[str], dtype: str) -> None:
    """Packed numbers are no weights without their scales: casting them would make noise of them."""
    entries = ((name, header.tensors[name].dtype, header.tensors[name].shape) for name in wanted)
    chosen = Header.of(entries, header.metadata if dtype != "keep" else {})
    found = packing(Names(chosen.shapes), chosen.columns, chosen.metadata).facts
    blocks = sorted({one for one in chosen.columns.dtypes if one in BLOCKS})
    kinds = [*blocks, *(kind for kind in found if kind not in ("fp8", "gguf"))]
    if kinds:
        raise IncompatibleError(
            f"The weights are packed ({', '.join(kinds)}), and cannot be cast as they are.",
            "Unpack them with `modelhub convert --dtype`, or keep the precision.",
        )


def _warnings(where: Belonging, identity: Identity, dtypes: dict[str, str]) -> list[str]:
    halved = [one for one in where.of_role("vae") if any(dtypes.get(name) == "F16" for name in one.names)]
    return [text for one in halved for text in _black(one, identity)]


def _black(vae: Owned, identity: Identity) -> Iterable[str]:
    if vae.component.architecture != _SHARED_VAE:
        return
    if identity.kind == "vae":
        yield f"If this is SDXL's VAE, it {_BLACK}"
    elif (identity.architecture or "").startswith("sdxl"):
        yield f"SDXL's VAE {_BLACK}"
