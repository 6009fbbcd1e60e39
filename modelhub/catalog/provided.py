"""Provided: what providers say of an asset's content, joined to what its own bytes and its sidecars tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: The providers that models can be looked for at, as people call them.
TITLES = {"civitai": "Civitai", "huggingface": "Hugging Face"}
#: Who is heard first where several providers know a content: Civitai's pages tell most.
_ORDER = ("civitai", "huggingface", "web")
#: These mean one thing together, and are taken from one provider.
_TOGETHER = ("version", "model_id", "version_id", "source")

#: One answer as SQL gives it: provider, when it was asked, whether it knows the content, and what it says.
Answer = Sequence[Any]


def joined(answers: Sequence[Answer]) -> dict[str, Any]:
    """What several providers say as one table, with the one that counts most under "provider"."""
    known = [one for one in answers if one[2]] or list(answers)
    known.sort(key=lambda one: _ORDER.index(one[0]) if one[0] in _ORDER else len(_ORDER))
    provider, at, found, facts = known[0]
    said = {"provider": provider, "at": at, **({} if found else {"not_found": True}), **facts}
    for _, _, _, more in known[1:]:
        said = {**{name: value for name, value in more.items() if name not in _TOGETHER}, **said}
    return said


def filled(
    plain: Mapping[str, Any], parsed: Mapping[str, Any], answers: Sequence[Answer]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain and the parsed columns of a row with what providers say where nothing else does."""
    said = joined(answers)
    more = {"provided": said, "trigger_words": parsed["trigger_words"] or said.get("trigger_words", [])}
    if base := said.get("base_model"):
        more |= _with_base(parsed, base, said["provider"])
    words = {"title": plain["title"] or said.get("name"), "source": plain["source"] or said.get("source")}
    return {**plain, **words}, {**parsed, **more}


def _with_base(parsed: Mapping[str, Any], base: str, provider: str) -> dict[str, Any]:
    """Facts and evidence with a declared base, unless a sidecar declares one."""
    from modelhub.catalog.declared import declared_evidence, declared_facts

    if "declared_base" in parsed["facts"]:
        return {}
    one = declared_evidence(base, provider)
    evidence = [*parsed["evidence"], {"rule": one.rule, "tensor": one.tensor, "found": one.found}]
    return {"facts": {**declared_facts(base), **parsed["facts"]}, "evidence": evidence}
