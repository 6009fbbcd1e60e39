"""VAEs and models: whether the latents are the model's. Shapes tell their channels, not always whose latents they are.

The VAEs of SD 1.x, SD 2.x and SDXL have the same names and shapes, as have those of Flux.1 and SD 3; only a known file,
what its metadata or a sidecar says, or its name tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelhub.catalog.architectures import Architecture, architectures
from modelhub.catalog.companions import Latents, latents, table
from modelhub.lora.checking.answer import Answer, Reason, Verdict
from modelhub.lora.checking.companions import size, vae_users
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.shapes import titles
from modelhub.lora.checking.telling import Finding, finding, quoted, told

#: A hint: which latents, by what evidence, and whether that is proof.
_Hint = tuple[Latents, str, bool]


def check_vae(one: Known, model: Known, sha256: str | None = None) -> Answer:
    """Whether a VAE decodes what a model makes."""
    findings = [*_channels(one, model), *_family(one, model, sha256), *_lacks(model)]
    return told(one, model, findings, checked=("latent channels", "family"))


def _channels(one: Known, model: Known) -> Iterator[Finding]:
    mine = size(one, "latent_channels")
    theirs = next((each.latent.channels for each in architectures() if _is(each, model) and each.latent), None)
    if mine is None or theirs is None:
        return
    if mine == theirs:
        yield finding("same-latent-channels", f"The latents have {mine} channels in both.")
    else:
        say = f"The VAE has latents of {mine} channels, the model makes {theirs}."
        reason = Reason("other-latent-channels", say, "incompatible")
        yield Finding(reason, "vae", f"{mine} latent channels", f"{theirs} latent channels")


def _is(each: Architecture, model: Known) -> bool:
    return each.id == model.architecture


def _family(one: Known, model: Known, sha256: str | None) -> Iterator[Finding]:
    """Whether the model's architecture uses such a VAE, and of VAEs with the same shapes this one."""
    kind = _stands_for(one)
    users = vae_users(kind)
    if model.architecture is None or kind is None:
        return
    if one.variant == "x4-upscaler" or (users and model.architecture not in users):
        whose = "the x4 upscaler" if one.variant == "x4-upscaler" else titles(tuple(sorted(users)))
        say = f"The VAE is that of {whose}; the model is {titles((model.architecture,))}."
        yield Finding(Reason("other-vae", say, "incompatible"), "family", whose, model.architecture)
    elif users:
        yield finding("same-vae", f"It is a VAE as {titles((model.architecture,))} has.")
        yield from _latents(one, model, kind, sha256)


def _stands_for(one: Known) -> str | None:
    """The architecture of the VAE, or the one that a tiny decoder stands in for."""
    tiny = table()["tiny"]
    if one.architecture != tiny["vae"]:
        return one.architecture
    found: str | None = tiny["stands_for"].get(str(one.facts.get("latent_channels")))
    return found


def _latents(one: Known, model: Known, kind: str, sha256: str | None) -> Iterator[Finding]:
    known = [each for each in latents() if each.vae == kind]
    own = next((each for each in known if model.architecture in each.models), None)
    if own is None:
        return
    if one.architecture == table()["tiny"]["vae"]:
        yield finding("tiny", "It is a tiny decoder: quick, and rougher than the model's own VAE.")
    hints = [hint for each in known if (hint := _hint(one, each, sha256)) is not None]
    for_it = [hint for hint in hints if hint[0] is own]
    against = [hint for hint in hints if hint[0] is not own]
    proof = [hint for hint in hints if hint[2]]
    if proof:
        for_it, against = [hint for hint in for_it if hint[2]], [hint for hint in against if hint[2]]
    yield _of_hints(for_it, against, own, [each.title for each in known])


def _of_hints(for_it: list[_Hint], against: list[_Hint], own: Latents, kinds: list[str]) -> Finding:
    if for_it and not against:
        return finding("same-latents", f"{for_it[0][1]}: its latents are those of {own.title}.")
    if not against:
        say = f"VAEs of {' and '.join(kinds)} have the same shapes, and nothing tells whose this is"
        return finding("latents-unknown", f"{say}: of the other kind, colours are wrong.", "caution")
    other, why, proved = against[0]
    if for_it:
        return finding("latents-unclear", f"{for_it[0][1]}, but {why[:1].lower()}{why[1:]}.", "caution")
    say = f"{why}: its latents are those of {other.title} (scale {other.scale:g}), the model's {own.title}"
    severity: Verdict = "incompatible" if proved else "caution"
    return Finding(
        Reason("other-latents", f"{say} ({own.scale:g}): colours are wrong.", severity),
        "vae" if proved else "",
        f"latents of {other.title}" if proved else "",
        f"latents of {own.title}",
    )


def _hint(one: Known, each: Latents, sha256: str | None) -> _Hint | None:
    """What says that a VAE has these latents, the strongest evidence first."""
    if sha256 and sha256.startswith(each.hashes):
        return each, "It is a released file, known by its hash", True
    declared = str(one.facts.get("declared_base") or "")
    title = str((one.facts.get("training") or {}).get("title", ""))
    for where, text in (("sidecar says", declared), ("title is", title), ("name is", one.name)):
        if text and _names(one, each).search(text[:1000]):
            return each, f"Its {where} {quoted(text)}", False
    return None


def _names(one: Known, each: Latents) -> re.Pattern[str]:
    tiny = table()["tiny"]
    if one.architecture == tiny["vae"]:
        return re.compile(tiny["names"].get(each.title, r"(?!)"), re.IGNORECASE)
    return each.names


def _lacks(model: Known) -> Iterator[Finding]:
    if model.kind == "checkpoint" and model.components and "vae" not in model.components:
        yield finding("no-vae-inside", "The checkpoint has no VAE of its own: it needs one.")
